// Made by `npm run generate` from the gateway's routes.
export interface paths {
    "/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether the gateway runs */
        get: operations["get_health"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/chat/completions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Answers a conversation, branching where the answer has independent parts */
        post: operations["post_v1_chat_completions"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/completions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Continues a text */
        post: operations["post_v1_completions"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/messages": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Answers a conversation, as Anthropic's API does */
        post: operations["post_v1_messages"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/messages/count_tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** How many tokens the prompt of a message has */
        post: operations["post_v1_messages_count_tokens"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/responses": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Answers an input, and keeps the response for others to follow */
        post: operations["post_v1_responses"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/responses/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A response that was kept */
        get: operations["get_v1_responses_id"];
        put?: never;
        post?: never;
        /** Forgets a response */
        delete: operations["delete_v1_responses_id"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/tokenize": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** The tokens of a prompt */
        post: operations["post_v1_tokenize"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/detokenize": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** The text of tokens */
        post: operations["post_v1_detokenize"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/classify": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** How parallel the answers to prompts will be */
        post: operations["post_v1_classify"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/models": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The models that some healthy worker has, and that the key may use */
        get: operations["get_v1_models"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/models/{model}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One model */
        get: operations["get_v1_models_model"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/usage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What the caller's tenant used, by hour or day, model and key */
        get: operations["get_v1_usage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Keys, of all tenants or of one, in pages */
        get: operations["get_admin_v1_keys"];
        put?: never;
        /** Makes a key, and its tenant if that is new */
        post: operations["post_admin_v1_keys"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/keys/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One key */
        get: operations["get_admin_v1_keys_id"];
        put?: never;
        post?: never;
        /** Revokes a key, within two seconds everywhere; its usage and history stay */
        delete: operations["delete_admin_v1_keys_id"];
        options?: never;
        head?: never;
        /** Changes a key's name, limits, scopes, models or expiry; what is absent stays */
        patch: operations["patch_admin_v1_keys_id"];
        trace?: never;
    };
    "/admin/v1/keys/{id}/rotate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Makes a key with the same settings, and lets the old one end */
        post: operations["post_admin_v1_keys_id_rotate"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/operators": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The credentials of operators, ended ones too */
        get: operations["get_admin_v1_operators"];
        put?: never;
        /** Makes a credential for an operator, beside the one of the environment */
        post: operations["post_admin_v1_operators"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/operators/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Ends an operator's credential, at once */
        delete: operations["delete_admin_v1_operators_id"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/tenants": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Tenants, in pages */
        get: operations["get_admin_v1_tenants"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/tenants/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A tenant: its limits, and what it has spent this month */
        get: operations["get_admin_v1_tenants_id"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Changes the weight of a tenant and the limits of all its keys together; what is absent stays */
        patch: operations["patch_admin_v1_tenants_id"];
        trace?: never;
    };
    "/admin/v1/prices": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What models cost: past, present and future prices */
        get: operations["get_admin_v1_prices"];
        put?: never;
        /** Sets what a model's tokens cost from some time on; what was used before keeps its cost */
        post: operations["post_admin_v1_prices"];
        /** From now on a model costs nothing; what was used before keeps its cost */
        delete: operations["delete_admin_v1_prices"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What operators changed, the newest first, in pages */
        get: operations["get_admin_v1_audit"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/usage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What was used, over all tenants or part of them, by how requests ended */
        get: operations["get_admin_v1_usage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/pool": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The workers, and how busy they are now */
        get: operations["get_admin_v1_pool"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/pool/{id}/drain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Gives a worker no new requests until it registers again; what it runs goes on */
        post: operations["post_admin_v1_pool_id_drain"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/upstreams": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The servers with OpenAI's API that belong to the pool */
        get: operations["get_admin_v1_upstreams"];
        put?: never;
        /** Adds a server with OpenAI's API to the pool, or replaces the one with its id */
        post: operations["post_admin_v1_upstreams"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/upstreams/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Takes an upstream out of the pool; what it answers now goes on to its end */
        delete: operations["delete_admin_v1_upstreams_id"];
        options?: never;
        head?: never;
        /** Changes an upstream, if it can be used so; what is absent stays */
        patch: operations["patch_admin_v1_upstreams_id"];
        trace?: never;
    };
    "/admin/v1/cache": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Forgets cached answers: of a tenant, of a model, or all */
        delete: operations["delete_admin_v1_cache"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/drain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Before a local gateway ends: refuses new requests and answers when the running ones have ended */
        post: operations["post_admin_v1_drain"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/admin/v1/sign-in": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Of a local gateway: a token with which the console signs in once, in place of the one before */
        post: operations["post_admin_v1_sign_in"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sign-in": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Of a local gateway: the console's credentials for a token that works once */
        post: operations["post_sign_in"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        Error: {
            error: {
                message: string;
                type: string;
                param: string | null;
                code: string;
            };
        };
        ChatCompletion: {
            id: string;
            created: number;
            model: string;
            usage: components["schemas"]["CompletionUsage"];
            /** @description If the request asks for it with `anabranch.classification` */
            anabranch?: {
                classification: components["schemas"]["Classification"];
            };
            /** @enum {string} */
            object: "chat.completion";
            choices: {
                index: number;
                /** @enum {string} */
                finish_reason: "stop" | "length" | "tool_calls";
                message: {
                    /** @enum {string} */
                    role: "assistant";
                    /** @description null if there are only calls */
                    content: string | null;
                    refusal: null;
                    /** @description What the model thinks first, as its template marks it */
                    reasoning_content?: string;
                    tool_calls?: {
                        id: string;
                        /** @enum {string} */
                        type: "function";
                        function: {
                            name: string;
                            /** @description JSON, valid for the tool's parameters */
                            arguments: string;
                        };
                    }[];
                    anabranch: {
                        parts: components["schemas"]["AnswerPart"][];
                        /** @description Of an answer whose branches the request declared */
                        branches?: {
                            title: string;
                            /** @enum {string} */
                            finish_reason: "stop" | "length";
                            logprobs: {
                                content: {
                                    token: string;
                                    logprob: number;
                                    bytes: number[];
                                    top_logprobs: {
                                        token: string;
                                        logprob: number;
                                        bytes: number[];
                                    }[];
                                }[];
                                refusal: null;
                            } | null;
                        }[];
                    };
                };
                logprobs: {
                    content: {
                        token: string;
                        logprob: number;
                        bytes: number[];
                        top_logprobs: {
                            token: string;
                            logprob: number;
                            bytes: number[];
                        }[];
                    }[];
                    refusal: null;
                } | null;
            }[];
        };
        CompletionUsage: {
            prompt_tokens: number;
            completion_tokens: number;
            total_tokens: number;
            prompt_tokens_details: {
                cached_tokens: number;
            };
            anabranch: {
                steps: number;
                stages: number;
                branches: number;
                visible_tokens: number;
                cached_tokens: number;
                outline_tokens: number;
                dropped_tokens: number;
                dropped_plans: ("few_titles" | "long_title" | "no_room")[];
                outline_ends: ("joined" | "list_ended" | "body_differs" | "no_room" | "no_stage" | "unfinished")[];
            };
        };
        Classification: {
            /** @description The chance that a good answer is a list of independent points */
            probability: number;
            /** @description The expected speed-up in decode steps */
            speedup: number;
            /**
             * @description What `auto` makes of it
             * @enum {string}
             */
            mode: "serial" | "parallel";
            /** @description The classifier hardly knows the prompt's language: `mode` is parallel, and the model decides */
            abstains: boolean;
            /** @description What counts most, in log-odds, strongest first */
            reasons: {
                cue: string;
                weight: number;
            }[];
            version: string;
        };
        AnswerPart: {
            serial: string;
        } | {
            parallel: {
                title: string;
                body: string;
            }[];
        };
        ChatCompletionRequest: {
            model: string;
            temperature?: number | null;
            top_p?: number | null;
            /** @description -1 and 0: off */
            top_k?: number | null;
            min_p?: number | null;
            presence_penalty?: number | null;
            frequency_penalty?: number | null;
            repetition_penalty?: number | null;
            logit_bias?: {
                [key: string]: number;
            } | null;
            /** Format: int64 */
            seed?: number;
            stop?: string | string[] | null;
            /** @description End the answer, besides the model's own */
            stop_token_ids?: number[] | null;
            /** @description The model's own end tokens are not sampled */
            ignore_eos?: boolean | null;
            /** @description Before so many tokens no end token is sampled, nor one of `stop_token_ids` */
            min_tokens?: number | null;
            n?: number | null;
            max_tokens?: number | null;
            stream?: boolean | null;
            stream_options?: ({
                include_usage?: boolean | null;
            } & {
                [key: string]: unknown;
            }) | null;
            user?: string | null;
            response_format?: {
                /** @enum {string} */
                type: "text";
            } | {
                /** @enum {string} */
                type: "json_object";
            } | {
                /** @enum {string} */
                type: "json_schema";
                json_schema: {
                    name: string;
                    description?: string | null;
                    schema: {
                        [key: string]: unknown;
                    };
                    /** @description The schema is held in any case */
                    strict?: boolean | null;
                };
            } | null;
            /** @description All of the answer matches it */
            guided_regex?: string | null;
            /** @description The answer is one of these */
            guided_choice?: string[] | null;
            /** @description A JSON Schema, as in `response_format` */
            guided_json?: {
                [key: string]: unknown;
            } | null;
            /** @description vLLM's newer name for the same */
            structured_outputs?: {
                regex?: string | null;
                choice?: string[] | null;
                json?: {
                    [key: string]: unknown;
                } | null;
                json_object?: boolean | null;
            } | null;
            anabranch?: components["schemas"]["AnabranchChatOptions"];
            messages: ({
                /** @enum {string} */
                role: "system" | "developer" | "user";
                content: string | {
                    /** @enum {string} */
                    type: "text";
                    text: string;
                }[];
                name?: string | null;
            } | {
                /** @enum {string} */
                role: "assistant";
                content?: string | {
                    /** @enum {string} */
                    type: "text";
                    text: string;
                }[] | null;
                name?: string | null;
                tool_calls?: {
                    id: string;
                    /** @enum {string|null} */
                    type?: "function" | null;
                    function: {
                        name: string;
                        arguments: string;
                    };
                }[] | null;
                /** @description As it came with the answer; its texts in order are its content */
                anabranch?: {
                    parts?: components["schemas"]["AnswerPart"][] | null;
                } | null;
            } | {
                /** @enum {string} */
                role: "tool";
                content: string | {
                    /** @enum {string} */
                    type: "text";
                    text: string;
                }[];
                tool_call_id: string;
            })[];
            max_completion_tokens?: number | null;
            logprobs?: boolean | null;
            top_logprobs?: number | null;
            modalities?: "text"[] | null;
            /** @description More of what the model's chat template is given */
            chat_template_kwargs?: {
                [key: string]: unknown;
            } | null;
            tools?: {
                /** @enum {string} */
                type: "function";
                function: {
                    name: string;
                    description?: string | null;
                    /** @description A JSON Schema of an object; every call is valid for it */
                    parameters?: {
                        [key: string]: unknown;
                    } | null;
                    strict?: boolean | null;
                };
            }[] | null;
            tool_choice?: ("none" | "auto" | "required") | {
                /** @enum {string} */
                type: "function";
                function: {
                    name: string;
                };
            } | null;
            parallel_tool_calls?: boolean | null;
        } & {
            [key: string]: unknown;
        };
        AnabranchChatOptions: {
            /** @enum {string|null} */
            mode?: "serial" | "parallel" | "auto" | null;
            max_branches?: number | null;
            /** @description How long a token should take at most, on the mean, where the worker schedules branches by slack */
            max_time_per_token_ms?: number | null;
            /** @enum {string|null} */
            cache?: "use" | "bypass" | null;
            /** @enum {string|null} */
            stream?: "ordered" | "lanes" | null;
            /** @description Return what the classifier says of the prompt */
            classification?: boolean | null;
            /** @description User turns after `messages`. All are answered side by side, each as a request of its own would be; the answer has each under its title */
            branches?: {
                title: string;
                content: string | {
                    /** @enum {string} */
                    type: "text";
                    text: string;
                }[];
                /** @description Absent: the request's; of type `text`: none, whatever the request's is */
                response_format?: {
                    /** @enum {string} */
                    type: "text";
                } | {
                    /** @enum {string} */
                    type: "json_object";
                } | {
                    /** @enum {string} */
                    type: "json_schema";
                    json_schema: {
                        name: string;
                        description?: string | null;
                        schema: {
                            [key: string]: unknown;
                        };
                        /** @description The schema is held in any case */
                        strict?: boolean | null;
                    };
                } | null;
            }[] | null;
        } | null;
        TextCompletion: {
            id: string;
            created: number;
            model: string;
            usage: components["schemas"]["CompletionUsage"];
            /** @description If the request asks for it with `anabranch.classification` */
            anabranch?: {
                classification: components["schemas"]["Classification"];
            };
            /** @enum {string} */
            object: "text_completion";
            choices: {
                index: number;
                /** @enum {string} */
                finish_reason: "stop" | "length";
                text: string;
                logprobs: {
                    tokens: string[];
                    token_logprobs: (number | null)[];
                    /** @description null for the first token of an echoed prompt */
                    top_logprobs: ({
                        [key: string]: number;
                    } | null)[];
                    text_offset: number[];
                } | null;
            }[];
        };
        CompletionRequest: {
            model: string;
            temperature?: number | null;
            top_p?: number | null;
            /** @description -1 and 0: off */
            top_k?: number | null;
            min_p?: number | null;
            presence_penalty?: number | null;
            frequency_penalty?: number | null;
            repetition_penalty?: number | null;
            logit_bias?: {
                [key: string]: number;
            } | null;
            /** Format: int64 */
            seed?: number;
            stop?: string | string[] | null;
            /** @description End the answer, besides the model's own */
            stop_token_ids?: number[] | null;
            /** @description The model's own end tokens are not sampled */
            ignore_eos?: boolean | null;
            /** @description Before so many tokens no end token is sampled, nor one of `stop_token_ids` */
            min_tokens?: number | null;
            n?: number | null;
            /** @description 0 with `echo`: nothing is decoded */
            max_tokens?: number | null;
            stream?: boolean | null;
            stream_options?: ({
                include_usage?: boolean | null;
            } & {
                [key: string]: unknown;
            }) | null;
            user?: string | null;
            response_format?: {
                /** @enum {string} */
                type: "text";
            } | {
                /** @enum {string} */
                type: "json_object";
            } | {
                /** @enum {string} */
                type: "json_schema";
                json_schema: {
                    name: string;
                    description?: string | null;
                    schema: {
                        [key: string]: unknown;
                    };
                    /** @description The schema is held in any case */
                    strict?: boolean | null;
                };
            } | null;
            /** @description All of the answer matches it */
            guided_regex?: string | null;
            /** @description The answer is one of these */
            guided_choice?: string[] | null;
            /** @description A JSON Schema, as in `response_format` */
            guided_json?: {
                [key: string]: unknown;
            } | null;
            /** @description vLLM's newer name for the same */
            structured_outputs?: {
                regex?: string | null;
                choice?: string[] | null;
                json?: {
                    [key: string]: unknown;
                } | null;
                json_object?: boolean | null;
            } | null;
            anabranch?: components["schemas"]["AnabranchOptions"];
            prompt: string | string[] | number[] | number[][];
            /** @description The text begins with the prompt, and so do the log-probabilities */
            echo?: boolean | null;
            logprobs?: number | null;
            /** @description As many as `n`, if at all: all choices are returned */
            best_of?: number | null;
        } & {
            [key: string]: unknown;
        };
        AnabranchOptions: {
            /** @enum {string|null} */
            mode?: "serial" | "parallel" | "auto" | null;
            max_branches?: number | null;
            /** @description How long a token should take at most, on the mean, where the worker schedules branches by slack */
            max_time_per_token_ms?: number | null;
            /** @enum {string|null} */
            cache?: "use" | "bypass" | null;
            /** @enum {string|null} */
            stream?: "ordered" | "lanes" | null;
            /** @description Return what the classifier says of the prompt */
            classification?: boolean | null;
            branches?: null;
        } | null;
        Message: {
            id: string;
            /** @enum {string} */
            type: "message";
            /** @enum {string} */
            role: "assistant";
            model: string;
            content: ({
                /** @enum {string} */
                type: "text";
                text: string;
                citations: null;
            } | {
                /** @enum {string} */
                type: "thinking";
                thinking: string;
                signature: string;
            } | {
                /** @enum {string} */
                type: "tool_use";
                id: string;
                name: string;
                input: {
                    [key: string]: unknown;
                };
            })[];
            /** @enum {string} */
            stop_reason: "end_turn" | "max_tokens" | "stop_sequence" | "tool_use";
            stop_sequence: string | null;
            usage: {
                input_tokens: number;
                output_tokens: number;
                cache_creation_input_tokens: number;
                cache_read_input_tokens: number;
            };
            anabranch: {
                parts: components["schemas"]["AnswerPart"][];
            };
        };
        MessageRequest: {
            model: string;
            system?: string | {
                /** @enum {string} */
                type: "text";
                text: string;
            }[] | null;
            messages: ({
                /** @enum {string} */
                role: "user";
                content: string | ({
                    /** @enum {string} */
                    type: "text";
                    text: string;
                } | {
                    /** @enum {string} */
                    type: "tool_result";
                    tool_use_id: string;
                    content?: string | {
                        /** @enum {string} */
                        type: "text";
                        text: string;
                    }[] | null;
                    is_error?: boolean | null;
                })[];
            } | {
                /** @enum {string} */
                role: "assistant";
                content: string | ({
                    /** @enum {string} */
                    type: "text";
                    text: string;
                    /** @description As it came with the answer; its texts in order are its content */
                    anabranch?: {
                        parts?: components["schemas"]["AnswerPart"][] | null;
                    } | null;
                } | {
                    /** @enum {string} */
                    type: "tool_use";
                    id: string;
                    name: string;
                    input: {
                        [key: string]: unknown;
                    };
                } | {
                    /** @enum {string} */
                    type: "thinking" | "redacted_thinking";
                })[];
                /** @description As it came with the answer; its texts in order are its content */
                anabranch?: {
                    parts?: components["schemas"]["AnswerPart"][] | null;
                } | null;
            })[];
            tools?: {
                /** @enum {string|null} */
                type?: "custom" | null;
                name: string;
                description?: string | null;
                /** @description A JSON Schema of an object; every call is valid for it */
                input_schema: {
                    [key: string]: unknown;
                };
            }[] | null;
            tool_choice?: {
                /** @enum {string} */
                type: "auto" | "any";
                disable_parallel_tool_use?: boolean | null;
            } | {
                /** @enum {string} */
                type: "tool";
                name: string;
                disable_parallel_tool_use?: boolean | null;
            } | {
                /** @enum {string} */
                type: "none";
            } | null;
            /** @description `enable_thinking` of the model's chat template */
            thinking?: {
                /** @enum {string} */
                type: "enabled" | "disabled" | "adaptive";
            } | null;
            max_tokens: number;
            stop_sequences?: string[] | null;
            temperature?: number | null;
            top_p?: number | null;
            /** @description -1 and 0: off */
            top_k?: number | null;
            output_config?: {
                format?: {
                    /** @enum {string} */
                    type: "json_schema";
                    schema: {
                        [key: string]: unknown;
                    };
                } | null;
            } | null;
            stream?: boolean | null;
            anabranch?: components["schemas"]["AnabranchChatOptions"];
        } & {
            [key: string]: unknown;
        };
        MessageCountRequest: {
            model: string;
            system?: string | {
                /** @enum {string} */
                type: "text";
                text: string;
            }[] | null;
            messages: ({
                /** @enum {string} */
                role: "user";
                content: string | ({
                    /** @enum {string} */
                    type: "text";
                    text: string;
                } | {
                    /** @enum {string} */
                    type: "tool_result";
                    tool_use_id: string;
                    content?: string | {
                        /** @enum {string} */
                        type: "text";
                        text: string;
                    }[] | null;
                    is_error?: boolean | null;
                })[];
            } | {
                /** @enum {string} */
                role: "assistant";
                content: string | ({
                    /** @enum {string} */
                    type: "text";
                    text: string;
                    /** @description As it came with the answer; its texts in order are its content */
                    anabranch?: {
                        parts?: components["schemas"]["AnswerPart"][] | null;
                    } | null;
                } | {
                    /** @enum {string} */
                    type: "tool_use";
                    id: string;
                    name: string;
                    input: {
                        [key: string]: unknown;
                    };
                } | {
                    /** @enum {string} */
                    type: "thinking" | "redacted_thinking";
                })[];
                /** @description As it came with the answer; its texts in order are its content */
                anabranch?: {
                    parts?: components["schemas"]["AnswerPart"][] | null;
                } | null;
            })[];
            tools?: {
                /** @enum {string|null} */
                type?: "custom" | null;
                name: string;
                description?: string | null;
                /** @description A JSON Schema of an object; every call is valid for it */
                input_schema: {
                    [key: string]: unknown;
                };
            }[] | null;
            tool_choice?: {
                /** @enum {string} */
                type: "auto" | "any";
                disable_parallel_tool_use?: boolean | null;
            } | {
                /** @enum {string} */
                type: "tool";
                name: string;
                disable_parallel_tool_use?: boolean | null;
            } | {
                /** @enum {string} */
                type: "none";
            } | null;
            /** @description `enable_thinking` of the model's chat template */
            thinking?: {
                /** @enum {string} */
                type: "enabled" | "disabled" | "adaptive";
            } | null;
            max_tokens?: number | null;
            stop_sequences?: string[] | null;
            temperature?: number | null;
            top_p?: number | null;
            /** @description -1 and 0: off */
            top_k?: number | null;
            output_config?: {
                format?: {
                    /** @enum {string} */
                    type: "json_schema";
                    schema: {
                        [key: string]: unknown;
                    };
                } | null;
            } | null;
            stream?: boolean | null;
            anabranch?: components["schemas"]["AnabranchChatOptions"];
        } & {
            [key: string]: unknown;
        };
        Response: {
            id: string;
            /** @enum {string} */
            object: "response";
            created_at: number;
            model: string;
            /** @enum {string} */
            status: "completed" | "incomplete";
            incomplete_details: {
                /** @enum {string} */
                reason: "max_output_tokens";
            } | null;
            output: ({
                id: string;
                /** @enum {string} */
                type: "message";
                /** @enum {string} */
                role: "assistant";
                /** @enum {string} */
                status: "completed" | "incomplete";
                content: ({
                    /** @enum {string} */
                    type: "output_text";
                    text: string;
                } & {
                    [key: string]: unknown;
                })[];
            } | {
                id: string;
                /** @enum {string} */
                type: "function_call";
                /** @enum {string} */
                status: "completed" | "incomplete";
                call_id: string;
                name: string;
                arguments: string;
            } | {
                id: string;
                /** @enum {string} */
                type: "reasoning";
                content: {
                    /** @enum {string} */
                    type: "reasoning_text";
                    text: string;
                }[];
            })[];
            usage: {
                input_tokens: number;
                output_tokens: number;
                total_tokens: number;
            } & {
                [key: string]: unknown;
            };
        } & {
            [key: string]: unknown;
        };
        ResponseRequest: {
            model: string;
            input: string | ({
                /** @enum {string|null} */
                type?: "message" | null;
                /** @enum {string} */
                role: "user" | "system" | "developer" | "assistant";
                content: string | {
                    /** @enum {string} */
                    type: "input_text" | "output_text" | "text";
                    text: string;
                }[];
            } | {
                /** @enum {string} */
                type: "function_call";
                call_id: string;
                name: string;
                arguments: string;
            } | {
                /** @enum {string} */
                type: "function_call_output";
                call_id: string;
                output: string | {
                    /** @enum {string} */
                    type: "input_text" | "output_text" | "text";
                    text: string;
                }[];
            } | {
                /** @enum {string} */
                type: "reasoning";
            })[];
            instructions?: string | null;
            previous_response_id?: string | null;
            /** @description Default: true */
            store?: boolean | null;
            metadata?: {
                [key: string]: string;
            } | null;
            max_output_tokens?: number | null;
            temperature?: number | null;
            top_p?: number | null;
            top_logprobs?: number | null;
            include?: "message.output_text.logprobs"[] | null;
            text?: {
                format?: {
                    /** @enum {string} */
                    type: "text";
                } | {
                    /** @enum {string} */
                    type: "json_object";
                } | {
                    /** @enum {string} */
                    type: "json_schema";
                    name: string;
                    schema: {
                        [key: string]: unknown;
                    };
                    description?: string | null;
                    strict?: boolean | null;
                } | null;
                verbosity?: null;
            } | null;
            tools?: {
                /** @enum {string} */
                type: "function";
                name: string;
                description?: string | null;
                parameters?: {
                    [key: string]: unknown;
                } | null;
                strict?: boolean | null;
            }[] | null;
            tool_choice?: ("none" | "auto" | "required") | {
                /** @enum {string} */
                type: "function";
                name: string;
            } | null;
            parallel_tool_calls?: boolean | null;
            /** @enum {string|null} */
            truncation?: "disabled" | null;
            chat_template_kwargs?: {
                [key: string]: unknown;
            } | null;
            stream?: boolean | null;
            anabranch?: components["schemas"]["AnabranchChatOptions"];
        } & {
            [key: string]: unknown;
        };
        TokenizeRequest: {
            model: string;
            temperature?: number | null;
            top_p?: number | null;
            /** @description -1 and 0: off */
            top_k?: number | null;
            min_p?: number | null;
            presence_penalty?: number | null;
            frequency_penalty?: number | null;
            repetition_penalty?: number | null;
            logit_bias?: {
                [key: string]: number;
            } | null;
            /** Format: int64 */
            seed?: number;
            stop?: string | string[] | null;
            /** @description End the answer, besides the model's own */
            stop_token_ids?: number[] | null;
            /** @description The model's own end tokens are not sampled */
            ignore_eos?: boolean | null;
            /** @description Before so many tokens no end token is sampled, nor one of `stop_token_ids` */
            min_tokens?: number | null;
            n?: number | null;
            max_tokens?: number | null;
            stream?: boolean | null;
            stream_options?: ({
                include_usage?: boolean | null;
            } & {
                [key: string]: unknown;
            }) | null;
            user?: string | null;
            response_format?: {
                /** @enum {string} */
                type: "text";
            } | {
                /** @enum {string} */
                type: "json_object";
            } | {
                /** @enum {string} */
                type: "json_schema";
                json_schema: {
                    name: string;
                    description?: string | null;
                    schema: {
                        [key: string]: unknown;
                    };
                    /** @description The schema is held in any case */
                    strict?: boolean | null;
                };
            } | null;
            /** @description All of the answer matches it */
            guided_regex?: string | null;
            /** @description The answer is one of these */
            guided_choice?: string[] | null;
            /** @description A JSON Schema, as in `response_format` */
            guided_json?: {
                [key: string]: unknown;
            } | null;
            /** @description vLLM's newer name for the same */
            structured_outputs?: {
                regex?: string | null;
                choice?: string[] | null;
                json?: {
                    [key: string]: unknown;
                } | null;
                json_object?: boolean | null;
            } | null;
            anabranch?: components["schemas"]["AnabranchChatOptions"];
            max_completion_tokens?: number | null;
            logprobs?: boolean | null;
            top_logprobs?: number | null;
            modalities?: "text"[] | null;
            /** @description More of what the model's chat template is given */
            chat_template_kwargs?: {
                [key: string]: unknown;
            } | null;
            tools?: {
                /** @enum {string} */
                type: "function";
                function: {
                    name: string;
                    description?: string | null;
                    /** @description A JSON Schema of an object; every call is valid for it */
                    parameters?: {
                        [key: string]: unknown;
                    } | null;
                    strict?: boolean | null;
                };
            }[] | null;
            tool_choice?: ("none" | "auto" | "required") | {
                /** @enum {string} */
                type: "function";
                function: {
                    name: string;
                };
            } | null;
            parallel_tool_calls?: boolean | null;
            prompt?: string | null;
            /** @description Of a prompt. Default: true */
            add_special_tokens?: boolean | null;
            messages?: ({
                /** @enum {string} */
                role: "system" | "developer" | "user";
                content: string | {
                    /** @enum {string} */
                    type: "text";
                    text: string;
                }[];
                name?: string | null;
            } | {
                /** @enum {string} */
                role: "assistant";
                content?: string | {
                    /** @enum {string} */
                    type: "text";
                    text: string;
                }[] | null;
                name?: string | null;
                tool_calls?: {
                    id: string;
                    /** @enum {string|null} */
                    type?: "function" | null;
                    function: {
                        name: string;
                        arguments: string;
                    };
                }[] | null;
                /** @description As it came with the answer; its texts in order are its content */
                anabranch?: {
                    parts?: components["schemas"]["AnswerPart"][] | null;
                } | null;
            } | {
                /** @enum {string} */
                role: "tool";
                content: string | {
                    /** @enum {string} */
                    type: "text";
                    text: string;
                }[];
                tool_call_id: string;
            })[] | null;
            /** @description Of messages. Default: true */
            add_generation_prompt?: boolean | null;
            return_token_strs?: boolean | null;
        } & {
            [key: string]: unknown;
        };
        DetokenizeRequest: {
            model: string;
            tokens: number[];
        } & {
            [key: string]: unknown;
        };
        Model: {
            id: string;
            /** @enum {string} */
            object: "model";
            created: number;
            owned_by: string;
            anabranch: {
                /** @description Of a LoRA adapter: the model that it changes */
                base: string | null;
                dialect: string | null;
                context_tokens: number;
                /** @description Served by another server with OpenAI's API. Declared branches go to it as requests at once, and an answer that loses it is decoded again from its beginning */
                upstream: boolean;
                /** @description For what a request leaves open */
                sampling_defaults: {
                    temperature: number;
                    top_p: number;
                    top_k: number;
                    min_p: number;
                    repetition_penalty: number;
                };
            };
        };
        /** @description Answers that were delivered whole: the sum of their usage blocks. Those that were cut off, by the client or by a failure, are counted under `incomplete`. */
        UsageRow: {
            /** @description Start of the hour or day, seconds since the epoch */
            start: number;
            model: string;
            key: string;
            requests: number;
            prompt_tokens: number;
            completion_tokens: number;
            total_tokens: number;
            visible_tokens: number;
            cached_tokens: number;
            steps: number;
            stages: number;
            branches: number;
            /** @description By the prices of the time, in `currency` */
            cost: string;
            cache_hits: number;
            /** @description Of answers that were free to branch: how many the classifier expected to, and how many did; the steps that it expected for their visible tokens, and those that were taken */
            classification: {
                requests: number;
                expected_parallel: number;
                parallel: number;
                visible_tokens: number;
                expected_steps: number;
                steps: number;
            };
            incomplete: {
                requests: number;
                prompt_tokens: number;
                completion_tokens: number;
                cost: string;
            };
            /** @description Requests that were refused before an answer began */
            refused: number;
        };
        /** @description What was spent in this calendar month, UTC, and what may be; null: no limit */
        Budget: {
            tokens: number;
            tokens_per_month: number | null;
            cost: string;
            cost_per_month: string | null;
        };
        NewKey: {
            /** @description Shown this once: only a hash of it is kept */
            key: string;
            /** @description The key's public part */
            id: string;
            tenant: string;
            name: string;
            rpm: number | null;
            tpm: number | null;
            max_concurrent: number | null;
            tokens_per_month: number | null;
            cost_per_month: string | null;
            scopes: ("inference" | "usage")[];
            models: string[] | null;
            priority: number;
            /** @description Seconds since the epoch */
            created_at: number;
            /** @description Seconds since the epoch */
            expires_at: number | null;
            /** @description Seconds since the epoch */
            revoked_at: number | null;
            /** @enum {string} */
            status: "active" | "expired" | "revoked";
        };
        NewKeyRequest: {
            tenant: string;
            name?: string;
            /** @description Requests per minute; null: no limit */
            rpm?: number | null;
            /** @description Tokens per minute; null: no limit */
            tpm?: number | null;
            /** @description Requests at once; null: no limit */
            max_concurrent?: number | null;
            /** @description Tokens per calendar month, UTC; null: no limit */
            tokens_per_month?: number | null;
            /** @description Money per calendar month, UTC, in the currency of the prices, such as "250.00"; null: no limit */
            cost_per_month?: string | null;
            /** @description Default: all */
            scopes?: ("inference" | "usage")[];
            /** @description The models that it may use; null: all */
            models?: string[] | null;
            /** @description Seconds since the epoch; null: never */
            expires_at?: number | null;
            /** @description Where requests wait, those of a higher one go first; default 0 */
            priority?: number;
        };
        Key: {
            /** @description The key's public part */
            id: string;
            tenant: string;
            name: string;
            rpm: number | null;
            tpm: number | null;
            max_concurrent: number | null;
            tokens_per_month: number | null;
            cost_per_month: string | null;
            scopes: ("inference" | "usage")[];
            models: string[] | null;
            priority: number;
            /** @description Seconds since the epoch */
            created_at: number;
            /** @description Seconds since the epoch */
            expires_at: number | null;
            /** @description Seconds since the epoch */
            revoked_at: number | null;
            /** @enum {string} */
            status: "active" | "expired" | "revoked";
        };
        KeyChange: {
            name?: string;
            /** @description Requests per minute; null: no limit */
            rpm?: number | null;
            /** @description Tokens per minute; null: no limit */
            tpm?: number | null;
            /** @description Requests at once; null: no limit */
            max_concurrent?: number | null;
            /** @description Tokens per calendar month, UTC; null: no limit */
            tokens_per_month?: number | null;
            /** @description Money per calendar month, UTC, in the currency of the prices, such as "250.00"; null: no limit */
            cost_per_month?: string | null;
            /** @description Default: all */
            scopes?: ("inference" | "usage")[];
            /** @description The models that it may use; null: all */
            models?: string[] | null;
            /** @description Seconds since the epoch; null: never */
            expires_at?: number | null;
            /** @description Where requests wait, those of a higher one go first; default 0 */
            priority?: number;
        };
        KeyRotation: {
            /** @description How long the old key still works */
            overlap_seconds: number;
        };
        NewOperator: {
            /** @description Shown this once: only a hash is kept */
            credential: string;
            /** @description The credential's public part */
            id: string;
            name: string;
            /**
             * @description read: what changes nothing
             * @enum {string}
             */
            scope: "read" | "all";
            /** @description Seconds since the epoch */
            created_at: number;
            /** @description Seconds since the epoch */
            expires_at: number | null;
            /** @description Seconds since the epoch */
            revoked_at: number | null;
        };
        NewOperatorRequest: {
            name: string;
            /**
             * @default all
             * @enum {string}
             */
            scope: "read" | "all";
            /**
             * @description Seconds since the epoch; null: never
             * @default null
             */
            expires_at: number | null;
        };
        Operator: {
            /** @description The credential's public part */
            id: string;
            name: string;
            /**
             * @description read: what changes nothing
             * @enum {string}
             */
            scope: "read" | "all";
            /** @description Seconds since the epoch */
            created_at: number;
            /** @description Seconds since the epoch */
            expires_at: number | null;
            /** @description Seconds since the epoch */
            revoked_at: number | null;
        };
        Tenant: {
            id: string;
            /** @description Seconds since the epoch */
            created_at: number;
            weight: number;
            rpm: number | null;
            tpm: number | null;
            max_concurrent: number | null;
            tokens_per_month: number | null;
            cost_per_month: string | null;
        };
        TenantWithMonth: {
            id: string;
            /** @description Seconds since the epoch */
            created_at: number;
            weight: number;
            rpm: number | null;
            tpm: number | null;
            max_concurrent: number | null;
            tokens_per_month: number | null;
            cost_per_month: string | null;
            /** @description What was spent in this calendar month, UTC: by all keys, by each */
            month: {
                tokens: number;
                cost: string;
                /** @description Tokens of each key */
                keys: {
                    [key: string]: number;
                };
                key_costs: {
                    [key: string]: string;
                };
            };
        };
        TenantChange: {
            /** @description Its part of a full worker, beside that of others; a tenant begins with 1 */
            weight?: number;
            /** @description Requests per minute; null: no limit */
            rpm?: number | null;
            /** @description Tokens per minute; null: no limit */
            tpm?: number | null;
            /** @description Requests at once; null: no limit */
            max_concurrent?: number | null;
            /** @description Tokens per calendar month, UTC; null: no limit */
            tokens_per_month?: number | null;
            /** @description Money per calendar month, UTC, in the currency of the prices, such as "250.00"; null: no limit */
            cost_per_month?: string | null;
        };
        Price: {
            model: string;
            currency: string;
            /** @description For a million tokens of prompts; null: they cost nothing */
            prompt: string | null;
            /** @description For a million tokens of prompts that the prefix cache had; null: they cost nothing */
            cached: string | null;
            /** @description For a million tokens that clients see; null: they cost nothing */
            visible: string | null;
            /** @description Seconds since the epoch: it holds from this time on */
            from: number;
        };
        NewPrice: {
            model: string;
            /** @description The same for all prices of a gateway */
            currency: string;
            /** @description For a million tokens of prompts, such as "0.15" */
            prompt: string;
            /** @description For a million tokens of prompts that the prefix cache had; absent: as prompt, such as "0.15" */
            cached?: string;
            /** @description For a million tokens that clients see, such as "0.15" */
            visible: string;
            /** @description Seconds since the epoch: it holds from this time on; absent: from now on */
            from?: number;
        };
        AuditEntry: {
            id: number;
            /** @description ms since the epoch */
            at: number;
            request_id: string;
            /** @description The id of the credential that did it; empty: the one of the environment */
            operator: string;
            action: string;
            /** @description Empty if the change is no tenant's */
            tenant: string;
            /** @description The public id; empty if it is no key's */
            key: string;
            detail: {
                [key: string]: unknown;
            };
        };
        PoolWorker: {
            id: string;
            /**
             * @description upstream: a server with OpenAI's API, whose load is not known
             * @enum {string}
             */
            kind: "worker" | "upstream";
            url: string;
            healthy: boolean;
            draining: boolean;
            models: string[];
            /** @description The same models, with what is known of each */
            served: {
                id: string;
                /** @description Of an adapter: the model that it changes */
                base: string | null;
                /** @description Of its weights, tokenizer and chat template */
                digest: string;
                /** @description The device and the code path that it runs on */
                backend: string;
                dialect: string | null;
                context_tokens: number;
            }[];
            /** @description Blocks */
            kv: {
                free: number;
                total: number;
            };
            requests: {
                running: number;
                queued: number;
                lanes: number;
            };
            /** @description ms since the epoch */
            registered_at: number;
            /** @description ms since the epoch */
            seen_at: number;
        };
        Upstream: {
            id: string;
            url: string;
            has_credential: boolean;
            /** @description As the pool names them */
            models: string[];
            /** @description The models it was told to serve; null: all */
            chosen: {
                id: string;
                name: string;
            }[] | null;
            max_requests: number | null;
            default_max_tokens: number;
            /** @description What it does not have */
            without: ("tools" | "response_format")[];
            /** @description Or last changed; ms since the epoch */
            added_at: number;
            /** @description ms since the epoch */
            checked_at: number | null;
            /** @description Why it is not used; null: it is */
            error: string | null;
        };
        NewUpstreamRequest: {
            id: string;
            /**
             * Format: uri
             * @description What an OpenAI SDK takes as its base URL, such as http://10.0.0.5:8000/v1
             */
            url: string;
            /** @description Sent to it as a bearer credential; null: none */
            credential?: string | null;
            /** @description Its models to serve: `id` here, `name` there. null: all */
            models?: {
                id: string;
                name?: string;
            }[] | null;
            /** @description Requests at once, of each of the gateway's isolates; null: no limit */
            max_requests?: number | null;
            /** @description For requests that name no max_tokens; 1024 where it is not said */
            default_max_tokens?: number;
            /** @description What it does not have: such requests are refused */
            without?: ("tools" | "response_format")[];
        };
        UpstreamChange: {
            /**
             * Format: uri
             * @description What an OpenAI SDK takes as its base URL, such as http://10.0.0.5:8000/v1
             */
            url?: string;
            /** @description Sent to it as a bearer credential; null: none */
            credential?: string | null;
            /** @description Its models to serve: `id` here, `name` there. null: all */
            models?: {
                id: string;
                name?: string;
            }[] | null;
            /** @description Requests at once, of each of the gateway's isolates; null: no limit */
            max_requests?: number | null;
            /** @description For requests that name no max_tokens; 1024 where it is not said */
            default_max_tokens?: number;
            /** @description What it does not have: such requests are refused */
            without?: ("tools" | "response_format")[];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    get_health: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It runs */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @enum {string} */
                        status: "ok";
                    };
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_v1_chat_completions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "model": "smollm2:branching",
                 *       "messages": [
                 *         {
                 *           "role": "user",
                 *           "content": "What are three tips for staying healthy?"
                 *         }
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["ChatCompletionRequest"];
            };
        };
        responses: {
            /** @description A chat.completion, or with `stream` its chunks as server-sent events */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChatCompletion"];
                    "text/event-stream": string;
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_v1_completions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "model": "smollm2",
                 *       "prompt": "The capital of Norway is",
                 *       "max_tokens": 8
                 *     }
                 */
                "application/json": components["schemas"]["CompletionRequest"];
            };
        };
        responses: {
            /** @description A text_completion, or with `stream` its chunks as server-sent events */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TextCompletion"];
                    "text/event-stream": string;
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_v1_messages: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "model": "smollm2:branching",
                 *       "max_tokens": 500,
                 *       "messages": [
                 *         {
                 *           "role": "user",
                 *           "content": "What are three tips for staying healthy?"
                 *         }
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["MessageRequest"];
            };
        };
        responses: {
            /** @description A message, or with `stream` its events as server-sent events */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Message"];
                    "text/event-stream": string;
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_v1_messages_count_tokens: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "model": "smollm2",
                 *       "messages": [
                 *         {
                 *           "role": "user",
                 *           "content": "What is a river?"
                 *         }
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["MessageCountRequest"];
            };
        };
        responses: {
            /** @description The tokens, as an answer's usage will count them */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        input_tokens: number;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_v1_responses: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "model": "smollm2:branching",
                 *       "input": "What are three tips for staying healthy?"
                 *     }
                 */
                "application/json": components["schemas"]["ResponseRequest"];
            };
        };
        responses: {
            /** @description A response, or with `stream` its events as server-sent events */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Response"];
                    "text/event-stream": string;
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_v1_responses_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description As it was given */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Response"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    delete_v1_responses_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone; responses that follow it stay */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        id: string;
                        /** @enum {string} */
                        object: "response";
                        /** @enum {boolean} */
                        deleted: true;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_v1_tokenize: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "model": "smollm2",
                 *       "prompt": "The capital of Norway is"
                 *     }
                 */
                "application/json": components["schemas"]["TokenizeRequest"];
            };
        };
        responses: {
            /** @description Their ids, as an answer to the prompt has them; of declared branches those that all begin with once, then the rest of each */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        count: number;
                        max_model_len: number;
                        tokens: number[];
                        token_strs: string[] | null;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_v1_detokenize: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "model": "smollm2",
                 *       "tokens": [
                 *         504,
                 *         3575
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["DetokenizeRequest"];
            };
        };
        responses: {
            /** @description The text, special tokens included */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        prompt: string;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_v1_classify: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "input": [
                 *         "List five uses of salt.",
                 *         "Why is the sky blue?"
                 *       ]
                 *     }
                 */
                "application/json": {
                    input: string | string[];
                };
            };
        };
        responses: {
            /** @description One classification for each prompt, in order */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @enum {string} */
                        object: "list";
                        version: string;
                        /** @description From this probability on, `auto` is parallel; so it is wherever the classifier abstains */
                        threshold: number;
                        data: (components["schemas"]["Classification"] & {
                            index: number;
                        })[];
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_v1_models: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The models */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @enum {string} */
                        object: "list";
                        data: components["schemas"]["Model"][];
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_v1_models_model: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                model: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The model */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Model"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_v1_usage: {
        parameters: {
            query?: {
                by?: "hour" | "day";
                /** @description Seconds since the epoch; from this time on */
                start?: number | null;
                /** @description Seconds since the epoch; before this time */
                end?: number | null;
                model?: string;
                /** @description A key's public id */
                key?: string;
                /** @description Minutes east of UTC: where hours and days begin */
                utc_offset?: number | null;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Usage */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @enum {string} */
                        object: "list";
                        /** @enum {string} */
                        by: "hour" | "day";
                        /** @description Null: nothing has a price */
                        currency: string | null;
                        data: components["schemas"]["UsageRow"][];
                        totals: {
                            requests: number;
                            prompt_tokens: number;
                            completion_tokens: number;
                            total_tokens: number;
                            visible_tokens: number;
                            cached_tokens: number;
                            steps: number;
                            stages: number;
                            branches: number;
                            /** @description By the prices of the time, in `currency` */
                            cost: string;
                            cache_hits: number;
                            /** @description Of answers that were free to branch: how many the classifier expected to, and how many did; the steps that it expected for their visible tokens, and those that were taken */
                            classification: {
                                requests: number;
                                expected_parallel: number;
                                parallel: number;
                                visible_tokens: number;
                                expected_steps: number;
                                steps: number;
                            };
                            incomplete: {
                                requests: number;
                                prompt_tokens: number;
                                completion_tokens: number;
                                cost: string;
                            };
                            /** @description Requests that were refused before an answer began */
                            refused: number;
                        };
                        month: {
                            key: components["schemas"]["Budget"];
                            tenant: components["schemas"]["Budget"];
                        };
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_admin_v1_keys: {
        parameters: {
            query?: {
                tenant?: string;
                limit?: number;
                /** @description The last id of the page before */
                after?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of keys; `next` is the `after` of the next page */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        keys: components["schemas"]["Key"][];
                        next: string | null;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_admin_v1_keys: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "tenant": "acme",
                 *       "name": "app",
                 *       "rpm": 600,
                 *       "tpm": 200000
                 *     }
                 */
                "application/json": components["schemas"]["NewKeyRequest"];
            };
        };
        responses: {
            /** @description The key */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NewKey"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_admin_v1_keys_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The key */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Key"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    delete_admin_v1_keys_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The key */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Key"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    patch_admin_v1_keys_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["KeyChange"];
            };
        };
        responses: {
            /** @description The key */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Key"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_admin_v1_keys_id_rotate: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["KeyRotation"];
            };
        };
        responses: {
            /** @description The new key */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NewKey"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_admin_v1_operators: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description In the order in which they were made */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        operators: components["schemas"]["Operator"][];
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_admin_v1_operators: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "alice",
                 *       "scope": "read"
                 *     }
                 */
                "application/json": components["schemas"]["NewOperatorRequest"];
            };
        };
        responses: {
            /** @description The credential */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NewOperator"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    delete_admin_v1_operators_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The credential, revoked */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Operator"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_admin_v1_tenants: {
        parameters: {
            query?: {
                limit?: number;
                /** @description The last id of the page before */
                after?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of tenants; `next` is the `after` of the next page */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        tenants: components["schemas"]["Tenant"][];
                        next: string | null;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_admin_v1_tenants_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The tenant */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TenantWithMonth"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    patch_admin_v1_tenants_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TenantChange"];
            };
        };
        responses: {
            /** @description The tenant */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TenantWithMonth"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_admin_v1_prices: {
        parameters: {
            query?: {
                model?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description By model, and by the time from which they hold */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        prices: components["schemas"]["Price"][];
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_admin_v1_prices: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "model": "llama-70b",
                 *       "currency": "USD",
                 *       "prompt": "0.5",
                 *       "visible": "1.5"
                 *     }
                 */
                "application/json": components["schemas"]["NewPrice"];
            };
        };
        responses: {
            /** @description The price */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Price"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    delete_admin_v1_prices: {
        parameters: {
            query: {
                model: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It has no price */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        model: string;
                        /** @enum {boolean} */
                        deleted: true;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_admin_v1_audit: {
        parameters: {
            query?: {
                tenant?: string;
                limit?: number;
                /** @description The last id of the page before */
                before?: number;
                format?: "json" | "csv";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page; `next` is the `before` of the next page */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        entries: components["schemas"]["AuditEntry"][];
                        next: number | null;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_admin_v1_usage: {
        parameters: {
            query?: {
                /** @description What rows differ in; absent: one row for everything */
                by?: string;
                /** @description Seconds since the epoch; from this time on */
                start?: number | null;
                /** @description Seconds since the epoch; before this time */
                end?: number | null;
                /** @description Minutes east of UTC: where hours and days begin */
                utc_offset?: number | null;
                limit?: number;
                /** @description How many rows to pass over: `next` of the page before */
                offset?: number | null;
                format?: "json" | "csv";
                tenant?: string;
                key?: string;
                model?: string;
                endpoint?: string;
                mode?: string;
                status?: string;
                cache?: string;
                worker?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Rows, at most `limit`; `truncated` says whether there are more. A CSV that has not all says in the header `x-next-offset` where they begin */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @description Of `cost`; null: nothing has a price */
                        currency: string | null;
                        rows: {
                            [key: string]: string | number | null;
                        }[];
                        truncated: boolean;
                        /** @description The `offset` of the next page; null: this is the last */
                        next: number | null;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_admin_v1_pool: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The pool */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        workers: components["schemas"]["PoolWorker"][];
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_admin_v1_pool_id_drain: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It gets none */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @enum {boolean} */
                        draining: true;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    get_admin_v1_upstreams: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        upstreams: components["schemas"]["Upstream"][];
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_admin_v1_upstreams: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewUpstreamRequest"];
            };
        };
        responses: {
            /** @description The upstream */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Upstream"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    delete_admin_v1_upstreams_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        id: string;
                        /** @enum {boolean} */
                        removed: true;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    patch_admin_v1_upstreams_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["UpstreamChange"];
            };
        };
        responses: {
            /** @description The upstream */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Upstream"];
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    delete_admin_v1_cache: {
        parameters: {
            query?: {
                /** @description Default: all tenants */
                tenant?: string;
                /** @description Default: all models */
                model?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description How many answers were forgotten */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        purged: number;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_admin_v1_drain: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    /** @description How long running answers may take; then they end with an error event */
                    seconds: number;
                };
            };
        };
        responses: {
            /** @description Nothing runs */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @enum {boolean} */
                        drained: true;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_admin_v1_sign_in: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    /** @description The API key that the console gets */
                    key: string;
                };
            };
        };
        responses: {
            /** @description The token, for the fragment of the console's address: `#sign-in=TOKEN` */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        token: string;
                        /** @description Seconds */
                        expires_in: number;
                    };
                };
            };
            /** @description A field is missing, wrong or not supported; `param` names it */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The credential is missing or unknown */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key is not for this: its scopes say what it is for */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description There is no such thing, or model */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The key's limit is reached; `Retry-After` says for how long */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description Nothing can answer now; `Retry-After` says when to try again */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    post_sign_in: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    token: string;
                };
            };
        };
        responses: {
            /** @description An API key, and the operator's credential */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        key: string;
                        admin: string;
                    };
                };
            };
            /** @description The path takes other methods; `Allow` lists them */
            405: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body did not arrive in time */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is too large; the message says what is the most */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The body is compressed */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
}
