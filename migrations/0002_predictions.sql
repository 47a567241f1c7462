ALTER TABLE `usage` ADD `probability` real;--> statement-breakpoint
ALTER TABLE `usage` ADD `predicted_speedup` real;