package update

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"gateagent/gate/wire"
)

// maxSettings bounds each file of settings.
const maxSettings = 256 << 10

// Names of pushed settings.
const (
	settingsEnd = ".toml"
	fleetName   = "fleet"
)

// Piece is one file of pushed settings.
type Piece struct {
	Name    string `json:"name"` // settings/fleet.toml is "fleet"
	Version uint64 `json:"version"`
	Text    []byte `json:"text"`
}

// Settings takes pushed settings: settings/fleet.toml for everybody, then
// settings/SGN.toml for an airport, then settings/KIOSK.toml, the later ones
// before the earlier. New ones are checked, then tried: the agent starts anew
// with them, and unless the lane is ready again in time, the last good ones
// come back by themselves and these are never tried again.
type Settings struct {
	Dir     string // a folder of its own
	Kiosk   string
	Airport string
	// Check judges pieces together with the kiosk's own configuration.
	Check func([]Piece) error
	// Restart asks for a start with the new ones, when nobody is at the gate.
	Restart func()
	Log     *slog.Logger
}

func (s *Settings) trials() trials[[]Piece] {
	return trials[[]Piece]{dir: s.Dir, what: "settings", id: piecesID, log: s.Log}
}

// Role is the one of settings.
func (s *Settings) Role() string { return wire.RoleSettings }

// Apply puts settings on trial, where they are new.
func (s *Settings) Apply(ctx context.Context, p Push) (InForce, error) {
	st, err := s.trials().read()
	if err != nil {
		return InForce{}, err
	}
	pieces, err := s.wanted(ctx, p, st.Good)
	if err != nil {
		return InForce{}, err
	}
	id := piecesID(pieces)
	in := InForce{Detail: id}
	for _, one := range pieces {
		in.Version = max(in.Version, one.Version)
	}
	switch {
	case id == piecesID(st.Good):
		return in, nil
	case st.refused(id):
		return InForce{}, fmt.Errorf("%w: settings %s; the last good ones are in force; push corrected ones", ErrTrial, id)
	case st.Trial != nil && id == piecesID(*st.Trial):
		if !st.Tried {
			s.Restart()
		}
		return in, nil
	}
	if err := s.Check(pieces); err != nil {
		return InForce{}, fmt.Errorf("%w: %w", ErrFinal, err)
	}
	st.Trial, st.Tried = &pieces, false
	if pieces == nil {
		st.Trial = &[]Piece{} // none, which is not nothing
	}
	if err := s.trials().write(st); err != nil {
		return InForce{}, err
	}
	s.Log.Info("settings are tried at the next start, when nobody is at the gate", "settings", id)
	s.Restart()
	return in, nil
}

// wanted gathers the pieces that are for this kiosk. Where a canary share
// leaves it out, it keeps what it has.
func (s *Settings) wanted(ctx context.Context, p Push, good []Piece) ([]Piece, error) {
	var out []Piece
	for _, name := range []string{fleetName, s.Airport, s.Kiosk} {
		t, ok := p.Find(wire.RoleSettings + "/" + name + settingsEnd)
		if name == "" || !ok {
			continue
		}
		if !InShare(s.Kiosk, t) {
			if i := slices.IndexFunc(good, func(g Piece) bool { return g.Name == name }); i >= 0 {
				out = append(out, good[i])
			}
			continue
		}
		if t.Length > maxSettings {
			return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrFinal, t.Path, maxSettings)
		}
		path, err := p.Fetch(ctx, t)
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		out = append(out, Piece{Name: name, Version: t.Version, Text: text})
	}
	return out, nil
}

// InShare says whether a kiosk belongs to the share that a target is for. The
// share is drawn by the target's path, so that it is not always the same
// kiosks that go first, and stays while the share grows.
func InShare(kiosk string, t Target) bool {
	if t.Canary == 0 || t.Canary >= 100 {
		return true
	}
	sum := sha256.Sum256([]byte(t.Path + "\x00" + kiosk))
	return binary.BigEndian.Uint64(sum[:])%100 < uint64(t.Canary)
}

func piecesID(pieces []Piece) string {
	h := sha256.New()
	for _, p := range pieces {
		fmt.Fprintf(h, "%q %x\n", p.Name, sha256.Sum256(p.Text))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Begin gives the settings to start with, and whether they are on trial. A
// trial that has begun before and was never confirmed is over: the last good
// ones come back.
func (s *Settings) Begin() (pieces []Piece, trial bool, err error) { return s.trials().begin() }

// Confirm makes the settings on trial the good ones: the lane is ready.
func (s *Settings) Confirm() error { return s.trials().confirm() }
