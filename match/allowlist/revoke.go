package allowlist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gateagent/internal/durable"
)

// revoked is what a Store knows of revocations.
type revoked struct {
	now *Revocations // nil: there are none
	// problem says why now cannot be believed: the file is damaged or older
	// than it was. Nobody is admitted then.
	problem error
}

// openRevocations reads the file of revocations. It comes before the list: a
// list without them would admit whom central has revoked.
func (s *Store) openRevocations() {
	r, err := readRevocations(s.dir)
	switch {
	case err != nil:
	case r == nil && s.mark.Revocations > 0:
		err = fmt.Errorf("%w: the revocations up to %d are gone; fetch them again", ErrDamaged, s.mark.Revocations)
	case r != nil && r.Number < s.mark.Revocations:
		err = fmt.Errorf("%w: revocations up to %d were in force and the file ends at %d; fetch them again", ErrRegress, s.mark.Revocations, r.Number)
	}
	if s.revoked = (revoked{now: r, problem: err}); err != nil {
		s.log.Error("revocations cannot be believed; nobody is admitted until they come again", "error", err)
	}
}

// readRevocations gives nil for an absent file.
func readRevocations(dir string) (*Revocations, error) {
	b, err := readSmall(filepath.Join(dir, RevocationsFile), MaxRevocationsFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ParseRevocations(b)
}

// SetRevocations takes revocations into force whose bytes the caller has
// proven; they are on the disk before it returns and before any look-up sees
// them. A file is cumulative from its base: an older one is refused
// (ErrRegress), and so is one that lacks a key in force from after its base
// (ErrUnrevoked); what was in force stays so. What was revoked before its base
// stays revoked until a list in force takes it into account. The same file
// again changes nothing.
func (s *Store) SetRevocations(ctx context.Context, raw []byte) error {
	next, err := ParseRevocations(raw)
	if err != nil {
		return err
	}
	s.revoking.Lock()
	defer s.revoking.Unlock()
	if ctx.Err() != nil {
		return fmt.Errorf("set revocations: %w", context.Cause(ctx))
	}
	if err := s.setRevocations(next); err != nil {
		return fmt.Errorf("set revocations: %w", err)
	}
	return nil
}

func (s *Store) setRevocations(next *Revocations) error {
	s.mu.RLock()
	old := s.revoked
	s.mu.RUnlock()
	had := s.marked()
	if newest := max(had.Revocations, numberOf(old.now)); next.Number < newest {
		return fmt.Errorf("%w: they end at %d and those up to %d are in force", ErrRegress, next.Number, newest)
	}
	var err error
	switch {
	case old.problem != nil: // what was there is lost, so nothing may be missing
		if gap := next.gap(had.Revoked); gap != "" {
			return fmt.Errorf("%w: %s", ErrDamaged, gap)
		}
	case old.now != nil:
		if err := next.Follows(old.now, had.settled()); err != nil {
			return err
		}
		if next, err = old.now.mergedWith(next); err != nil {
			return err
		}
	}
	next.Forget(had.settled())
	raw := next.Marshal()
	if old.problem == nil && old.now != nil && bytes.Equal(raw, old.now.Marshal()) {
		return nil
	}
	if err := durable.WriteFile(filepath.Join(s.dir, RevocationsFile), raw, 0o600); err != nil {
		return err
	}
	s.step("revocations written")
	if err := s.remark(func(m mark) mark { m.Revocations = next.Number; return m }); err != nil {
		return err
	}
	s.step("revocations marked")
	s.mu.Lock()
	s.revoked = revoked{now: next}
	s.mu.Unlock()
	s.log.Info("revocations in force", "number", next.Number, "keys", next.Count())
	return nil
}

func numberOf(r *Revocations) uint64 {
	if r == nil {
		return 0
	}
	return r.Number
}

// mergedWith gives what is revoked by either. Both are kept where the newer
// file begins after the end of the older one, and then something is missing
// between them: Base says so.
func (r *Revocations) mergedWith(newer *Revocations) (*Revocations, error) {
	gone, err := union(r.gone, newer.gone)
	if err != nil {
		return nil, err
	}
	base := newer.Base
	if newer.Base <= r.Number {
		base = min(base, r.Base)
	}
	return &Revocations{Number: newer.Number, Base: base, gone: gone}, nil
}

// gap tells that revocations are missing between what a list takes into
// account and what the file holds.
func (r *Revocations) gap(taken uint64) string {
	if r == nil || r.Base <= taken {
		return ""
	}
	return fmt.Sprintf("revocations %d to %d are missing; fetch them or a newer list", taken+1, r.Base)
}
