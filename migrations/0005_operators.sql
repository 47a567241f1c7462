CREATE TABLE `operators` (
	`operator_id` text PRIMARY KEY NOT NULL,
	`hash` text NOT NULL,
	`name` text NOT NULL,
	`scope` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer,
	`revoked_at` integer
);
--> statement-breakpoint
ALTER TABLE `audit` ADD `operator` text DEFAULT '' NOT NULL;