package update

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"gateagent/internal/durable"
)

// Bounds of what is kept about trials.
const (
	maxRefused = 20      // that are remembered for not having come up
	maxTrial   = 4 << 20 // of the state, whose pieces of settings stand in it
	trialFile  = "state"
)

// trials keep what is in force and what is tried: the agent starts anew with
// it, and unless the lane is ready again in time, the last good comes back by
// itself and what failed is never tried again.
type trials[T any] struct {
	dir  string
	what string         // in the log
	id   func(T) string // names a content
	log  *slog.Logger
}

// trialState is what must survive. A trial is begun before it is used.
type trialState[T any] struct {
	Good    T        `json:"good"`
	Trial   *T       `json:"trial"`
	Tried   bool     `json:"tried"`             // the trial has begun
	Refused []string `json:"refused,omitempty"` // what did not come up, by its id
}

// refused says whether something was tried before and did not come up.
func (st *trialState[T]) refused(id string) bool { return slices.Contains(st.Refused, id) }

// begin gives what to start with, and whether it is on trial. A trial that has
// begun before and was never confirmed is over: the last good comes back.
func (t trials[T]) begin() (v T, trial bool, err error) {
	st, err := t.read()
	switch {
	case err != nil:
		return v, false, err
	case st.Trial == nil:
		return st.Good, false, nil
	case st.Tried:
		id := t.id(*st.Trial)
		t.log.Error("the lane did not come back with what was pushed; the last good is in force again", "pushed", t.what, "id", id)
		st.Refused = append(st.Refused, id)
		st.Refused = st.Refused[max(0, len(st.Refused)-maxRefused):]
		st.Trial, st.Tried = nil, false
		return st.Good, false, t.write(st)
	}
	st.Tried = true
	return *st.Trial, true, t.write(st)
}

// confirm makes what is on trial the good: the lane is ready.
func (t trials[T]) confirm() error {
	st, err := t.read()
	if err != nil || st.Trial == nil || !st.Tried {
		return err
	}
	st.Good, st.Trial, st.Tried = *st.Trial, nil, false
	t.log.Info(t.what+" in force", "id", t.id(st.Good))
	return t.write(st)
}

// read gives nothing where the folder is new, or damaged: the kiosk's own
// configuration is complete without.
func (t trials[T]) read() (st trialState[T], err error) {
	b, err := readAtMost(filepath.Join(t.dir, trialFile), maxTrial)
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err == nil {
		err = unsum(b, &st)
	}
	if errors.Is(err, ErrDamaged) {
		t.log.Error("what was pushed is damaged on the disk; the kiosk's own configuration counts until it comes again", "pushed", t.what, "folder", t.dir)
		return trialState[T]{}, nil
	}
	return st, err
}

func (t trials[T]) write(st trialState[T]) error {
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return err
	}
	b, err := withSum(st)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(t.dir, trialFile), b, 0o600)
}
