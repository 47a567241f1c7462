CREATE TABLE `prices` (
	`model` text NOT NULL,
	`from_at` integer NOT NULL,
	`currency` text NOT NULL,
	`prompt` integer,
	`cached` integer,
	`visible` integer,
	PRIMARY KEY(`model`, `from_at`)
);
--> statement-breakpoint
ALTER TABLE `keys` ADD `cost_per_month` integer;--> statement-breakpoint
ALTER TABLE `tenants` ADD `cost_per_month` integer;--> statement-breakpoint
ALTER TABLE `usage` ADD `cost` integer DEFAULT 0 NOT NULL;