package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// Bounds of pushed models.
const (
	maxModelFiles = 32
	maxModels     = 512 << 20 // of all files together
)

// ModelSet names the pushed models that are in force: a folder in Models.Dir,
// which never changes. The zero value is the pack of the configuration.
type ModelSet struct {
	Name    string `json:"name"`
	Version uint64 `json:"version"`
	Pack    string `json:"pack"`             // SHA-256 of the pack's manifest, as Prepare gave it
	Before  string `json:"before,omitempty"` // the folder that was in force before
}

// Models takes pushed model packs and calibration records: put into a folder
// of its own beside the one in force, judged and tried there, and only then in
// force, at a start of the lane without a traveller. When the lane does not
// come back, the one before does, and this one is never tried again.
type Models struct {
	Dir   string // a folder of its own
	Kiosk string // for canary shares
	// Prepare judges a folder that holds what was pushed, completes it where
	// that is a calibration record alone, and tries it. It gives the hash by
	// which the pack is pinned from then on. What it refuses is refused until
	// something else is pushed or the agent starts anew.
	Prepare func(ctx context.Context, dir string, p Push) (pack string, err error)
	// Restart asks for a start with the new ones when nobody is at the gate;
	// nil where no lane uses them.
	Restart func()
	Log     *slog.Logger
}

// Role is that of models.
func (m *Models) Role() string { return wire.RoleModels }

func (m *Models) trials() trials[ModelSet] {
	return trials[ModelSet]{dir: m.Dir, what: "models", id: func(s ModelSet) string { return s.Name }, log: m.Log}
}

// Begin gives the models to start with, and whether they are on trial.
func (m *Models) Begin() (ModelSet, bool, error) { return m.trials().begin() }

// Confirm makes the models on trial the good ones: the lane is ready.
func (m *Models) Confirm() error {
	if err := m.trials().confirm(); err != nil {
		return err
	}
	st, err := m.trials().read()
	if err == nil {
		m.sweep(st)
	}
	return err
}

// Folder is where a set lies.
func (m *Models) Folder(name string) string { return filepath.Join(m.Dir, name) }

// Apply puts models on trial, where they are new and for this kiosk. Where
// they are for others, or were taken out, it keeps what it has.
func (m *Models) Apply(ctx context.Context, p Push) (InForce, error) {
	st, err := m.trials().read()
	if err != nil {
		return InForce{}, err
	}
	set := ModelSet{Name: digest(p.Targets), Before: st.Good.Name}
	for _, t := range p.Targets {
		set.Version = max(set.Version, t.Version)
	}
	in := InForce{Version: set.Version, Detail: set.Name}
	switch {
	case len(p.Targets) == 0 || !m.mine(p.Targets):
		return InForce{Version: st.Good.Version, Detail: st.Good.Name}, nil
	case set.Name == st.Good.Name:
		return in, nil
	case st.refused(set.Name):
		return InForce{}, fmt.Errorf("%w: models version %d; those before are in force; push others", ErrTrial, set.Version)
	case st.Trial != nil && st.Trial.Name == set.Name:
		if !st.Tried && m.Restart != nil {
			m.Restart()
		}
		return in, nil
	}
	if set.Pack, err = m.unpack(ctx, set.Name, p); err != nil {
		return InForce{}, err
	}
	if m.Restart == nil {
		st.Good, st.Trial, st.Tried = set, nil, false
	} else {
		st.Trial, st.Tried = &set, false
	}
	if err := m.trials().write(st); err != nil {
		return InForce{}, err
	}
	m.sweep(st)
	if m.Restart != nil {
		m.Log.Info("models are tried at the next start, when nobody is at the gate", "models", set.Name, "version", set.Version)
		m.Restart()
	}
	return in, nil
}

// mine says whether all of the targets are for this kiosk. A pack goes to a
// kiosk as a whole: the share is drawn by the role, not file by file.
func (m *Models) mine(targets []Target) bool {
	for _, t := range targets {
		t.Path = wire.RoleModels
		if !InShare(m.Kiosk, t) {
			return false
		}
	}
	return true
}

// unpack puts the targets into a folder beside those that are there, and has
// it judged before it gets its name.
func (m *Models) unpack(ctx context.Context, name string, p Push) (pack string, err error) {
	if err := modelsFit(p.Targets); err != nil {
		return "", fmt.Errorf("%w: %w", ErrFinal, err)
	}
	if err := os.MkdirAll(m.Dir, 0o700); err != nil {
		return "", err
	}
	temp, err := durable.MkdirTemp(m.Folder(name))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if err := fillFolder(ctx, temp, p); err != nil {
		return "", err
	}
	if pack, err = m.Prepare(ctx, temp, p); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("%w: %w", ErrFinal, err)
	}
	return pack, durable.CommitFolder(temp, m.Folder(name))
}

// modelsFit looks at names and sizes before anything is fetched.
func modelsFit(targets []Target) error {
	if len(targets) > maxModelFiles {
		return fmt.Errorf("%d files are more than %d", len(targets), maxModelFiles)
	}
	total, seen := int64(0), map[string]bool{}
	for _, t := range targets {
		total += t.Length
		switch name := t.Name(); {
		case name == "" || strings.HasPrefix(name, ".") || !filepath.IsLocal(name) || filepath.Base(name) != name:
			return fmt.Errorf("%q is no file name", name)
		case seen[name]:
			return fmt.Errorf("%q is there twice", name)
		case total > maxModels:
			return fmt.Errorf("the files have more than %d bytes", maxModels)
		default:
			seen[name] = true
		}
	}
	return nil
}

// sweep removes what nobody goes back to any more. What cannot be removed is
// in nobody's way.
func (m *Models) sweep(st trialState[ModelSet]) {
	keep := map[string]bool{trialFile: true, st.Good.Name: true, st.Good.Before: true}
	if st.Trial != nil {
		keep[st.Trial.Name], keep[st.Trial.Before] = true, true
	}
	entries, err := os.ReadDir(m.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.Log.Warn("old models could not be looked at", "err", err)
	}
	for _, e := range entries {
		if keep[e.Name()] {
			continue
		}
		if err := os.RemoveAll(m.Folder(e.Name())); err != nil {
			m.Log.Warn("old models could not be removed", "err", err)
		}
	}
}
