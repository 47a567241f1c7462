CREATE TABLE `usage_groups` (
	`group_id` integer PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`key_id` text NOT NULL,
	`model` text NOT NULL,
	`endpoint` text NOT NULL,
	`mode` text NOT NULL,
	`status` integer NOT NULL,
	`cache` text NOT NULL,
	`worker` text NOT NULL,
	`started` integer NOT NULL,
	`predicted` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `usage_groups_by_content` ON `usage_groups` (`tenant_id`,`key_id`,`model`,`endpoint`,`mode`,`status`,`cache`,`worker`,`started`,`predicted`);--> statement-breakpoint
CREATE TABLE `usage_sums` (
	`group_id` integer NOT NULL,
	`period` integer NOT NULL,
	`start` integer NOT NULL,
	`requests` integer NOT NULL,
	`prompt_tokens` integer NOT NULL,
	`completion_tokens` integer NOT NULL,
	`visible_tokens` integer NOT NULL,
	`cached_tokens` integer NOT NULL,
	`steps` integer NOT NULL,
	`stages` integer NOT NULL,
	`branches` integer NOT NULL,
	`cost` integer NOT NULL,
	`branched` integer NOT NULL,
	`probability` real NOT NULL,
	`expected_steps` real NOT NULL,
	PRIMARY KEY(`group_id`, `period`, `start`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `usage_times` (
	`group_id` integer NOT NULL,
	`period` integer NOT NULL,
	`start` integer NOT NULL,
	`measure` integer NOT NULL,
	`bucket` integer NOT NULL,
	`requests` integer NOT NULL,
	PRIMARY KEY(`period`, `start`, `measure`, `bucket`, `group_id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TRIGGER `usage_roll_up` AFTER INSERT ON `usage` BEGIN
  INSERT INTO usage_groups (tenant_id, key_id, model, endpoint, mode, status, cache, worker, started, predicted)
    VALUES (NEW.tenant_id, NEW.key_id, NEW.model, NEW.endpoint, NEW.mode, NEW.status, NEW.cache, coalesce(NEW.worker, ''),
      (NEW.started_ms IS NOT NULL), (NEW.probability IS NOT NULL))
    ON CONFLICT DO NOTHING;
  INSERT INTO usage_sums
    SELECT g.group_id, period, CAST(NEW.at AS integer) / 1000 / period * period,
      1, NEW.prompt_tokens, NEW.completion_tokens, NEW.visible_tokens, NEW.cached_tokens, NEW.steps, NEW.stages,
      NEW.branches, NEW.cost, NEW.stages > 0, coalesce(NEW.probability, 0),
      coalesce(NEW.visible_tokens / NEW.predicted_speedup, 0)
    FROM usage_groups g, (SELECT 900 AS period UNION ALL SELECT 86400)
    WHERE (g.tenant_id, g.key_id, g.model, g.endpoint, g.mode, g.status, g.cache, g.worker, g.started, g.predicted)
      = (NEW.tenant_id, NEW.key_id, NEW.model, NEW.endpoint, NEW.mode, NEW.status, NEW.cache, coalesce(NEW.worker, ''),
        (NEW.started_ms IS NOT NULL), (NEW.probability IS NOT NULL))
    ON CONFLICT DO UPDATE SET
      requests = requests + excluded.requests, prompt_tokens = prompt_tokens + excluded.prompt_tokens,
      completion_tokens = completion_tokens + excluded.completion_tokens, visible_tokens = visible_tokens + excluded.visible_tokens,
      cached_tokens = cached_tokens + excluded.cached_tokens, steps = steps + excluded.steps,
      stages = stages + excluded.stages, branches = branches + excluded.branches,
      cost = cost + excluded.cost, branched = branched + excluded.branched,
      probability = probability + excluded.probability, expected_steps = expected_steps + excluded.expected_steps;
  INSERT INTO usage_times
    SELECT g.group_id, period, CAST(NEW.at AS integer) / 1000 / period * period, measure,
      ms - ms % (CASE WHEN ms < 16 THEN 1 WHEN ms < 32 THEN 2 WHEN ms < 64 THEN 4 WHEN ms < 128 THEN 8
        WHEN ms < 256 THEN 16 WHEN ms < 512 THEN 32 WHEN ms < 1024 THEN 64 WHEN ms < 2048 THEN 128
        WHEN ms < 4096 THEN 256 WHEN ms < 8192 THEN 512 WHEN ms < 16384 THEN 1024 WHEN ms < 32768 THEN 2048
        WHEN ms < 65536 THEN 4096 WHEN ms < 131072 THEN 8192 WHEN ms < 262144 THEN 16384
        WHEN ms < 524288 THEN 32768 WHEN ms < 1048576 THEN 65536 WHEN ms < 2097152 THEN 131072 ELSE 262144 END), 1
    FROM usage_groups g, (SELECT 900 AS period UNION ALL SELECT 86400),
      (SELECT 0 AS measure, NEW.first_text_ms AS ms UNION ALL SELECT 1, NEW.total_ms)
    WHERE NEW.status = 200 AND ms IS NOT NULL
      AND (g.tenant_id, g.key_id, g.model, g.endpoint, g.mode, g.status, g.cache, g.worker, g.started, g.predicted)
      = (NEW.tenant_id, NEW.key_id, NEW.model, NEW.endpoint, NEW.mode, NEW.status, NEW.cache, coalesce(NEW.worker, ''),
        (NEW.started_ms IS NOT NULL), (NEW.probability IS NOT NULL))
    ON CONFLICT DO UPDATE SET requests = requests + 1;
END;
--> statement-breakpoint
INSERT INTO usage_groups (tenant_id, key_id, model, endpoint, mode, status, cache, worker, started, predicted)
  SELECT DISTINCT tenant_id, key_id, model, endpoint, mode, status, cache, coalesce(worker, ''), (started_ms IS NOT NULL),
    (probability IS NOT NULL) FROM usage;
--> statement-breakpoint
INSERT INTO usage_sums
  SELECT g.group_id, period, CAST(u.at AS integer) / 1000 / period * period AS start,
    count(*), sum(u.prompt_tokens), sum(u.completion_tokens), sum(u.visible_tokens), sum(u.cached_tokens),
    sum(u.steps), sum(u.stages), sum(u.branches), sum(u.cost), sum(u.stages > 0),
    sum(coalesce(u.probability, 0)), sum(coalesce(u.visible_tokens / u.predicted_speedup, 0))
  FROM usage u CROSS JOIN (SELECT 900 AS period UNION ALL SELECT 86400) CROSS JOIN usage_groups g
  WHERE (g.tenant_id, g.key_id, g.model, g.endpoint, g.mode, g.status, g.cache, g.worker, g.started, g.predicted)
    = (u.tenant_id, u.key_id, u.model, u.endpoint, u.mode, u.status, u.cache, coalesce(u.worker, ''),
      (u.started_ms IS NOT NULL), (u.probability IS NOT NULL))
  GROUP BY 1, 2, 3;
--> statement-breakpoint
INSERT INTO usage_times
  SELECT group_id, period, CAST(at AS integer) / 1000 / period * period AS start, measure,
    ms - ms % (CASE WHEN ms < 16 THEN 1 WHEN ms < 32 THEN 2 WHEN ms < 64 THEN 4 WHEN ms < 128 THEN 8
      WHEN ms < 256 THEN 16 WHEN ms < 512 THEN 32 WHEN ms < 1024 THEN 64 WHEN ms < 2048 THEN 128
      WHEN ms < 4096 THEN 256 WHEN ms < 8192 THEN 512 WHEN ms < 16384 THEN 1024 WHEN ms < 32768 THEN 2048
      WHEN ms < 65536 THEN 4096 WHEN ms < 131072 THEN 8192 WHEN ms < 262144 THEN 16384
      WHEN ms < 524288 THEN 32768 WHEN ms < 1048576 THEN 65536 WHEN ms < 2097152 THEN 131072 ELSE 262144 END) AS bucket, count(*)
  FROM (
    SELECT g.group_id, u.at, measure, CASE measure WHEN 0 THEN u.first_text_ms ELSE u.total_ms END AS ms
    FROM usage u CROSS JOIN (SELECT 0 AS measure UNION ALL SELECT 1) CROSS JOIN usage_groups g
    WHERE u.status = 200
      AND (g.tenant_id, g.key_id, g.model, g.endpoint, g.mode, g.status, g.cache, g.worker, g.started, g.predicted)
      = (u.tenant_id, u.key_id, u.model, u.endpoint, u.mode, u.status, u.cache, coalesce(u.worker, ''),
        (u.started_ms IS NOT NULL), (u.probability IS NOT NULL))
  ), (SELECT 900 AS period UNION ALL SELECT 86400)
  WHERE ms IS NOT NULL
  GROUP BY 1, 2, 3, 4, 5;
