package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"
)

// task is one long-lived part of the agent. ready, where there is one, is
// closed when the part serves.
type task struct {
	name  string
	run   func(context.Context) error
	ready <-chan struct{}
}

// readyLimit bounds how long the agent may take to serve.
const readyLimit = 30 * time.Second

// runTasks runs all tasks until one fails or ctx ends. It tells systemd READY
// when every task is, and feeds the watchdog only while alive says that the
// lane's loop turns.
func runTasks(ctx context.Context, log *slog.Logger, tasks []task, alive func() time.Time) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range tasks {
		g.Go(func() error {
			if err := t.run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			if ctx.Err() == nil {
				return fmt.Errorf("%s: ended by itself", t.name)
			}
			return nil
		})
	}
	g.Go(func() error {
		if err := awaitReady(ctx, tasks); err != nil {
			return err
		}
		log.Info("ready")
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
		feedWatchdog(ctx, log, alive)
		return nil
	})
	return g.Wait()
}

func awaitReady(ctx context.Context, tasks []task) error {
	limit := time.NewTimer(readyLimit)
	defer limit.Stop()
	for _, t := range tasks {
		if t.ready == nil {
			continue
		}
		select {
		case <-t.ready:
		case <-ctx.Done():
			return nil
		case <-limit.C:
			return fmt.Errorf("%s: not ready within %v", t.name, readyLimit)
		}
	}
	return nil
}

// feedWatchdog tells systemd that the lane lives, three times per interval,
// and only when its loop has turned since.
func feedWatchdog(ctx context.Context, log *slog.Logger, alive func() time.Time) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if stood := time.Since(alive()); stood > interval/2 {
				log.Error("the lane stands still; the watchdog is not fed", "since", stood.Round(time.Second))
				continue
			}
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		}
	}
}
