package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"gateagent/config"
	"gateagent/gate"
)

func runCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run the lane until it is told to stop",
		Long: `run drives one gate: card reader, scanners, barrier, pages and the way to
central. It serves travellers when central is unreachable, refers everybody
when something that a decision needs is missing, and says which on the staff
page. Stop it with SIGTERM or Ctrl-C.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(path)
			if err != nil {
				return err
			}
			log := newLog(c.Log.Level)
			if err := noCoreDumps(); err != nil {
				return err
			}
			defer func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyStopping) }()
			return runWithSettings(cmd.Context(), path, c, log)
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// newLog writes to standard error, where systemd's journal takes it.
func newLog(level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))
}

// noCoreDumps keeps evidence in memory from ever reaching a core file.
func noCoreDumps() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("switch core dumps off: %w", err)
	}
	return nil
}

// run builds the parts, wires them and runs them.
func run(ctx context.Context, c *config.Config, log *slog.Logger, t *trying) error {
	b := &builder{c: c, log: log, clock: newClock(c), trustMoved: make(chan struct{}, 1), restarts: make(chan struct{}, 1), trying: t}
	defer b.close()
	for _, build := range []func(context.Context) error{
		b.identify, b.outbox, b.timekeeping, b.list, b.devices, b.camera, b.pages, b.faces, b.pushes, b.uplink, b.lane,
	} {
		if err := build(ctx); err != nil {
			return err
		}
	}
	b.settingsTask(b.tasks)
	log.Info("starting", "gate", c.Gate.Name, "kiosk", b.kiosk, "policy", c.Policy.Name, "face", c.Policy.Face, "page", "http://"+b.web.Addr())
	if c.Policy.Face == "off" {
		log.Warn("the policy compares no face")
	}
	return runTasks(ctx, log, b.tasks, b.laneAlive)
}

// recoverOpen closes what an earlier run left open: admissions whose passage
// nobody saw, and referrals that staff still have to resolve.
func (b *builder) recoverOpen(ctx context.Context) ([]gate.Referral, error) {
	now, trusted := b.clock.Now()
	n, err := b.box.RecoverPassages(ctx, now, trusted)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		b.log.Warn("the last run ended before it knew what happened at the barrier; recorded as unknown", "passages", n)
	}
	open, err := b.box.OpenReferrals(ctx)
	if err != nil {
		return nil, err
	}
	var out []gate.Referral
	for _, rec := range open {
		out = append(out, referral(rec))
	}
	return out, nil
}

// statePath is a folder inside the state folder.
func (b *builder) statePath(name string) string { return filepath.Join(b.c.State.Dir, name) }

// laneAlive feeds the watchdog.
func (b *builder) laneAlive() time.Time { return b.theLane.Alive() }

// close gives back what has no task of its own.
func (b *builder) close() {
	var errs []error
	if b.store != nil {
		errs = append(errs, b.store.Close())
	}
	if b.web != nil {
		errs = append(errs, b.web.Close())
	}
	if b.box != nil {
		errs = append(errs, b.box.Close())
	}
	if err := errors.Join(errs...); err != nil {
		b.log.Error("closing", "err", err)
	}
}
