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

// errSettings ends a run so that the next one begins with other settings or
// models.
var errSettings = errors.New("what was pushed is to be tried")

// trying is what central may change under a running agent.
type trying struct {
	settings *update.Settings
	models   *update.Models
	modelSet update.ModelSet // to start with
	trial    bool            // settings or models are on trial
	before   standing        // how the run before left the lane
	left     standing        // how this one does
}

// Times of a change of settings.
const (
	settingsLook = 200 * time.Millisecond
	settingsWait = 10 * time.Minute // for a moment without a traveller; then they are interrupted
)

// runWithSettings runs the lane with the pushed settings over the file, and
// again whenever other ones, or other models, are to be tried. A trial that
// does not become ready ends, and the last good come back.
func runWithSettings(ctx context.Context, path string, first *config.Config, log *slog.Logger) error {
	var before standing
	for {
		t := &trying{before: before, models: &update.Models{Dir: filepath.Join(first.State.Dir, pushedModels), Log: log},
			settings: &update.Settings{Dir: filepath.Join(first.State.Dir, pushedSettings), Airport: first.Update.Airport, Log: log,
				Check: func(p []update.Piece) error {
					_, err := config.WithSettings(path, settingTexts(p)...)
					return err
				}}}
		c, err := t.configured(path, first)
		if err != nil {
			return err
		}
		err = run(ctx, c, log, t)
		before = t.left
		switch {
		case ctx.Err() != nil:
			return err
		case errors.Is(err, errSettings):
			log.Info("starting anew for what was pushed")
		case t.trial:
			log.Error("the lane does not run with what was pushed", "err", err)
		default:
			return err
		}
	}
}

// configured gives the configuration to run with, and notes what is on trial.
func (t *trying) configured(path string, first *config.Config) (*config.Config, error) {
	if first.Update.Root == "" {
		return first, nil
	}
	pieces, trial, err := t.settings.Begin()
	if err != nil {
		return nil, err
	}
	c, err := config.WithSettings(path, settingTexts(pieces)...)
	switch {
	case err != nil && trial: // the file was changed meanwhile
		t.settings.Log.Error("settings on trial do not fit this kiosk's configuration any more", "err", err)
		return t.configured(path, first)
	case err != nil:
		t.settings.Log.Error("pushed settings do not fit this kiosk's configuration any more; it counts alone", "err", err)
		c = first
	}
	set, models, err := t.models.Begin()
	t.modelSet, t.trial = set, trial || models
	return c, err
}

// confirm makes what is on trial the good.
func (t *trying) confirm() error {
	if !t.trial {
		return nil
	}
	return errors.Join(t.settings.Confirm(), t.models.Confirm())
}

func settingTexts(pieces []update.Piece) (out []config.Setting) {
	for _, p := range pieces {
		out = append(out, config.Setting{Name: fmt.Sprintf("settings/%s version %d", p.Name, p.Version), Text: p.Text})
	}
	return out
}

// restart asks for a start with what is to be tried.
func (b *builder) restart() {
	select {
	case b.restarts <- struct{}{}:
	default:
	}
}

// settingsTask confirms what is on trial when everything is ready, and ends the
// run when something else is to be tried and nobody is at the gate. others are
// the tasks that have to become ready.
func (b *builder) settingsTask(others []task) {
	b.add("settings", func(ctx context.Context) error {
		began := time.Now()
		if err := awaitReady(ctx, others); err != nil || ctx.Err() != nil {
			return err
		}
		if b.trial {
			if err := b.awaitBack(ctx, readyLimit-time.Since(began)); err != nil || ctx.Err() != nil {
				return err
			}
		}
		if err := b.confirm(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.restarts:
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
