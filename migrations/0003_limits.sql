ALTER TABLE `keys` ADD `max_concurrent` integer;--> statement-breakpoint
ALTER TABLE `keys` ADD `tokens_per_month` integer;--> statement-breakpoint
ALTER TABLE `tenants` ADD `rpm` integer;--> statement-breakpoint
ALTER TABLE `tenants` ADD `tpm` integer;--> statement-breakpoint
ALTER TABLE `tenants` ADD `max_concurrent` integer;--> statement-breakpoint
ALTER TABLE `tenants` ADD `tokens_per_month` integer;