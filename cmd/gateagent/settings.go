package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"gateagent/config"
	"gateagent/gate"
	"gateagent/update"
)

// pushedSettings is the folder of settings inside the state folder.
const pushedSettings = "settings"

// errSettings ends a run so that the next one begins with other settings.
var errSettings = errors.New("new settings are to be tried")

// Times of a change of settings.
const (
	settingsLook = 200 * time.Millisecond
	settingsWait = 10 * time.Minute // for a moment without a traveller; then they are interrupted
)

// runWithSettings runs the lane with the pushed settings over the file, and
// again whenever other ones are to be tried. A trial that does not become
// ready ends, and the last good settings come back.
func runWithSettings(ctx context.Context, path string, first *config.Config, log *slog.Logger) error {
	var before standing
	for {
		s := &update.Settings{Dir: filepath.Join(first.State.Dir, pushedSettings), Airport: first.Update.Airport, Log: log,
			Check: func(p []update.Piece) error {
				_, err := config.WithSettings(path, settingTexts(p)...)
				return err
			}}
		c, trial, err := configured(path, first, s)
		if err != nil {
			return err
		}
		before, err = run(ctx, c, log, s, trial, before)
		switch {
		case ctx.Err() != nil:
			return err
		case errors.Is(err, errSettings):
			log.Info("starting anew for other settings")
		case trial:
			log.Error("the lane does not run with the new settings", "err", err)
		default:
			return err
		}
	}
}

// configured gives the configuration to run with, and whether its settings
// are on trial.
func configured(path string, first *config.Config, s *update.Settings) (*config.Config, bool, error) {
	if first.Update.Root == "" {
		return first, false, nil
	}
	pieces, trial, err := s.Begin()
	if err != nil {
		return nil, false, err
	}
	c, err := config.WithSettings(path, settingTexts(pieces)...)
	if err == nil {
		return c, trial, nil
	}
	s.Log.Error("pushed settings do not fit this kiosk's configuration any more; it counts alone", "err", err)
	return first, trial, nil
}

func settingTexts(pieces []update.Piece) (out []config.Setting) {
	for _, p := range pieces {
		out = append(out, config.Setting{Name: fmt.Sprintf("settings/%s version %d", p.Name, p.Version), Text: p.Text})
	}
	return out
}

// settingsTask confirms settings when everything is ready, and ends the run
// when others are to be tried and nobody is at the gate. others are the tasks
// that have to become ready.
func (b *builder) settingsTask(others []task) {
	wanted := make(chan struct{}, 1)
	b.settings.Restart = func() {
		select {
		case wanted <- struct{}{}:
		default:
		}
	}
	b.add("settings", func(ctx context.Context) error {
		began := time.Now()
		if err := awaitReady(ctx, others); err != nil || ctx.Err() != nil {
			return err
		}
		if b.trial {
			if err := b.awaitBack(ctx, readyLimit-time.Since(began)); err != nil || ctx.Err() != nil {
				return err
			}
			if err := b.settings.Confirm(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wanted:
			b.left = b.standing()
			b.awaitNobody(ctx)
			return errSettings
		}
	}, nil)
}

// standing is how a run left the lane; the zero value is in order.
type standing struct{ lane, faces bool } // out of order

func (b *builder) standing() (s standing) {
	if b.status != nil {
		s.lane = b.status.stage() == gate.StageOutOfOrder
	}
	s.faces = b.matcher != nil && b.matcher.Problem() != nil
	return s
}

// awaitBack waits until the lane can serve travellers with what is on trial.
// What was out of order before is not held against it: a reader without power
// must not keep good settings away.
func (b *builder) awaitBack(ctx context.Context, limit time.Duration) error {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(settingsLook)
	defer tick.Stop()
	for {
		now := b.standing()
		if b.status.stage() != "" && (!now.lane || b.before.lane) && (!now.faces || b.before.faces) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-end.C:
			return errors.New("the lane is out of order with what is on trial, and was not before")
		case <-tick.C:
		}
	}
}

// awaitNobody waits for a moment without a traveller.
func (b *builder) awaitNobody(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settingsWait)
	defer cancel()
	tick := time.NewTicker(settingsLook)
	defer tick.Stop()
	for {
		switch b.status.stage() {
		case gate.StageIdle, gate.StageOutOfOrder, gate.StageClosed, gate.StageNeedScan, "":
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// stage is where the lane stands.
func (s *status) stage() gate.Stage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view.Stage
}
