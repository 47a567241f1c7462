CREATE TABLE `refusals` (
	`tenant_id` text NOT NULL,
	`key_id` text NOT NULL,
	`endpoint` text NOT NULL,
	`status` integer NOT NULL,
	`at` integer NOT NULL,
	`requests` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `at`, `key_id`, `endpoint`, `status`)
);
