CREATE TABLE `keys` (
	`key_id` text PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`hash` text NOT NULL,
	`rpm` integer,
	`tpm` integer,
	`created_at` integer NOT NULL,
	FOREIGN KEY (`tenant_id`) REFERENCES `tenants`(`tenant_id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `keys_by_tenant` ON `keys` (`tenant_id`);--> statement-breakpoint
CREATE TABLE `tenants` (
	`tenant_id` text PRIMARY KEY NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `usage` (
	`request_id` text PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`key_id` text NOT NULL,
	`model` text NOT NULL,
	`endpoint` text NOT NULL,
	`at` integer NOT NULL,
	`status` integer NOT NULL,
	`cache` text NOT NULL,
	`mode` text NOT NULL,
	`stream` integer NOT NULL,
	`worker` text,
	`prompt_tokens` integer NOT NULL,
	`completion_tokens` integer NOT NULL,
	`visible_tokens` integer NOT NULL,
	`cached_tokens` integer NOT NULL,
	`steps` integer NOT NULL,
	`stages` integer NOT NULL,
	`branches` integer NOT NULL,
	`started_ms` integer,
	`first_text_ms` integer,
	`total_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `usage_by_tenant_and_time` ON `usage` (`tenant_id`,`at`);