package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/match/allowlist"
	"gateagent/update"
)

// revocations takes documents off the list, before anything else.
type revocations struct {
	store   *allowlist.Store
	airport string
}

// Role is the online one.
func (r *revocations) Role() string { return wire.RoleRevocations }

// Apply puts the newest revocations of the airport in force.
func (r *revocations) Apply(ctx context.Context, p update.Push) (update.InForce, error) {
	t, ok := p.Find(wire.RevocationsPath(r.airport))
	if !ok {
		return update.InForce{}, nil
	}
	raw, err := fetched(ctx, p, t, allowlist.MaxRevocationsFile)
	if err != nil {
		return update.InForce{}, err
	}
	switch err := r.store.SetRevocations(ctx, raw); {
	case errors.Is(err, allowlist.ErrUnrevoked): // whoever has the role's key tries to let somebody in
		return update.InForce{}, &update.Refusal{Attack: update.Unrevoking, What: t.Path, Err: err}
	case err != nil:
		return update.InForce{}, final(err)
	}
	return update.InForce{Version: t.Version, Detail: hex.EncodeToString(t.SHA256[:8])}, nil
}

// lists takes the airport's list, by delta where there is one that fits.
type lists struct {
	store   *allowlist.Store
	airport string
	secrets string // folder in which the secret of a generation may lie
	now     func() gate.TrustedTime
}

// maxStatement is far above the size of a statement.
const maxStatement = 4 << 10

// Role is the airport's.
func (l *lists) Role() string {
	role, err := wire.AirportRole(l.airport)
	if err != nil {
		return "" // no role: nothing is taken
	}
	return role
}

// Apply takes the list that the statement names.
func (l *lists) Apply(ctx context.Context, p update.Push) (update.InForce, error) {
	t, ok := p.Find(wire.ListPath(l.airport))
	if !ok {
		return update.InForce{}, nil
	}
	raw, err := fetched(ctx, p, t, maxStatement)
	if err != nil {
		return update.InForce{}, err
	}
	st, err := allowlist.ParseProven(raw)
	if err != nil {
		return update.InForce{}, final(err)
	}
	if l.byDelta(ctx, p, raw, st) {
		return inForce(st), nil
	}
	return inForce(st), l.whole(ctx, p, raw, st)
}

// Return takes the previous list into force again.
func (l *lists) Return() (update.Returned, error) {
	if err := l.store.Rollback(l.now()); err != nil {
		return update.Returned{}, err
	}
	st, ok := l.store.InForce()
	if !ok {
		return update.Returned{}, errors.New("no list is in force")
	}
	return update.Returned{InForce: inForce(st), Statement: st.Marshal(), Issued: st.Issued, Expires: st.Expires}, nil
}

func inForce(st allowlist.Statement) update.InForce {
	return update.InForce{Version: st.Version, Detail: hex.EncodeToString(st.Root[:8])}
}

// byDelta says whether a delta did it; else the whole table does.
func (l *lists) byDelta(ctx context.Context, p update.Push, raw []byte, st allowlist.Statement) bool {
	now, ok := l.store.InForce()
	if !ok || now.Generation != st.Generation {
		return false
	}
	d, ok := p.Find(wire.DeltaPath(l.airport, now.Version, st.Version))
	if !ok {
		return false
	}
	path, err := p.Fetch(ctx, d)
	return err == nil && l.store.ApplyDelta(ctx, raw, path, p.At) == nil
}

func (l *lists) whole(ctx context.Context, p update.Push, raw []byte, st allowlist.Statement) error {
	if now, ok := l.store.InForce(); ok && now.Version == st.Version && now.Root == st.Root && l.store.Sound() {
		return nil
	}
	t, ok := p.Find(wire.TablePath(l.airport, st.Version))
	if !ok {
		return fmt.Errorf("%w: neither the table of version %d is published nor a delta from the list in force", update.ErrFinal, st.Version)
	}
	secret, err := allowlist.ReadSecret(filepath.Join(l.secrets, allowlist.SecretFile))
	if errors.Is(err, fs.ErrNotExist) {
		secret, err = nil, nil // it is in force already, or kept elsewhere
	}
	if err != nil {
		return err
	}
	if secret != nil && secret.Generation != st.Generation {
		secret = nil
	}
	load := func() error {
		path, err := p.Fetch(ctx, t)
		if err != nil {
			return err
		}
		return final(l.store.LoadProven(ctx, raw, path, secret, p.At))
	}
	if err = load(); errors.Is(err, allowlist.ErrDamaged) {
		// It was whole when it came: the disk has spoilt it since.
		if err = p.Drop(t); err == nil {
			err = load()
		}
	}
	return err
}

// Sound says whether the list in force is still whole.
func (l *lists) Sound() bool { return l.store.Sound() }

// Reprove takes the list in force out of force when its key was taken away.
func (l *lists) Reprove() error { return l.store.Reprove() }

// final marks what cannot become better by trying again.
func final(err error) error {
	for _, why := range []error{allowlist.ErrDamaged, allowlist.ErrUnsigned, allowlist.ErrExpired, allowlist.ErrRegress, allowlist.ErrAirport} {
		if errors.Is(err, why) {
			return fmt.Errorf("%w: %w", update.ErrFinal, err)
		}
	}
	return err
}

// fetched reads a small target.
func fetched(ctx context.Context, p update.Push, t update.Target, max int64) ([]byte, error) {
	if t.Length > max {
		return nil, fmt.Errorf("%w: %s has %d bytes, more than the %d that it may have", update.ErrFinal, t.Path, t.Length, max)
	}
	path, err := p.Fetch(ctx, t)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
