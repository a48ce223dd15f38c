package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate/wire"
)

// clockSlack is how far the time may lie before what was accepted already:
// clocks that are corrected step a little.
const clockSlack = 5 * time.Minute

// pass is one pass over a source, from root to targets.
type pass struct {
	u    *Updater
	src  Source
	c    *chain
	news bool // something was proven that was not held
}

// refresh takes what a source has, in TUF's order. hint is a timestamp that
// was pushed; nil asks the source for one. Delegated roles that are refused
// take nothing from the others; their errors are joined.
func (u *Updater) refresh(ctx context.Context, src Source, hint []byte) error {
	at := u.cfg.Time()
	if !at.Trusted {
		return ErrClock
	}
	if at.Now.Add(clockSlack).Before(u.store.held.accepted) {
		return refuse(TimeRegress, "the clock", "it says %s, but the metadata in force was accepted on %s", stamp(at.Now), stamp(u.store.held.accepted))
	}
	c, err := begin(u.store.held, u.store.floor, at.Now)
	if err != nil {
		return err
	}
	p := &pass{u: u, src: src, c: c}
	for _, step := range []func(context.Context) error{
		p.roots,
		func(ctx context.Context) error { return p.timestamp(ctx, hint) },
		p.snapshot, p.targets,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return p.roles(ctx)
}

// roots goes from the root in force to the newest one, each signed by the one
// before and by itself. Each is kept at once.
func (p *pass) roots(ctx context.Context) error {
	for range wire.MaxRootRotations {
		name := wire.MetadataFile(wire.RoleRoot, p.c.rootVersion()+1)
		b, err := p.u.pace.readMeta(ctx, p.src, name, wire.MaxRootBytes)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		if err := p.c.nextRoot(b); err != nil {
			return err
		}
		if err := p.u.store.keepRoot(p.c); err != nil {
			return err
		}
		p.u.log.Info("new root in force", "version", p.c.rootVersion())
	}
	if v, had := p.c.rootVersion(), p.u.store.floor.Root; v < had {
		return refuse(Rollback, "root", "the newest is version %d, the kiosk has had version %d", v, had)
	}
	return nil
}

func (p *pass) timestamp(ctx context.Context, hint []byte) (err error) {
	if hint == nil {
		if hint, err = p.u.pace.readMeta(ctx, p.src, wire.MetadataFile(wire.RoleTimestamp, 0), wire.MaxTimestampBytes); err != nil {
			return err
		}
	}
	p.news, err = p.c.takeTimestamp(hint)
	return err
}

// file gives a file of metadata: the held one where it is what is named, else
// the source's.
func (p *pass) file(ctx context.Context, role string, meta *metadata.MetaFiles, old []byte, max int64) ([]byte, error) {
	if old != nil && fits(meta, old) {
		return old, nil
	}
	p.news = true
	if meta.Length > 0 {
		max = min(max, meta.Length)
	}
	return p.u.pace.readMeta(ctx, p.src, wire.MetadataFile(role, meta.Version), max)
}

// fits says whether a held file is the one that is named.
func fits(meta *metadata.MetaFiles, old []byte) bool {
	var v int64
	if m, err := metadata.Targets().FromBytes(old); err == nil {
		v = m.Signed.Version
	} else if m, err := metadata.Snapshot().FromBytes(old); err == nil {
		v = m.Signed.Version
	}
	return v == meta.Version && meta.VerifyLengthHashes(old) == nil
}

func (p *pass) snapshot(ctx context.Context) error {
	b, err := p.file(ctx, wire.RoleSnapshot, p.c.snapshotMeta(), p.c.old.snapshot, wire.MaxSnapshotBytes)
	if err != nil {
		return err
	}
	return p.c.takeSnapshot(b)
}

func (p *pass) targets(ctx context.Context) error {
	meta := p.c.roleMeta(wire.RoleTargets)
	if meta == nil {
		return refuse(MixAndMatch, wire.RoleSnapshot, "it does not name the targets")
	}
	b, err := p.file(ctx, wire.RoleTargets, meta, p.c.old.targets, wire.MaxTargetsBytes)
	if err != nil {
		return err
	}
	return p.c.takeTargets(b)
}

// roles takes the delegated roles in the order of their urgency. Revocations
// are in force before anything else of this pass is even asked for.
func (p *pass) roles(ctx context.Context) error {
	var errs []error
	for _, role := range p.order() {
		if err := p.role(ctx, role); err != nil {
			if ctx.Err() != nil {
				return err
			}
			p.u.roleRefused(role, err)
			errs = append(errs, err)
			continue
		}
		p.u.roleRefused(role, nil)
		if role != wire.RoleRevocations {
			continue
		}
		if p.news {
			// Their content first: a start without network then has both.
			p.u.prefetch(ctx, p.c, p.src)
			if err := p.commit(); err != nil {
				return errors.Join(append(errs, err)...)
			}
		}
		errs = append(errs, p.u.apply(ctx, p.c, role, p.u.fetcher(p.src)))
	}
	if p.news {
		errs = append(errs, p.commit())
	}
	// The set itself keeps out what is older; the floor does so where the set
	// is lost, and may come a moment later.
	errs = append(errs, p.u.store.keepFloor(p.c))
	p.u.proven(p.c)
	p.u.hand(job{c: p.c, src: p.src})
	return errors.Join(errs...)
}

// order lists the roles that this kiosk takes, those first that are held as
// the snapshot names them: they cost nothing and belong to every set.
func (p *pass) order() []string {
	var held, fetch []string
	for _, role := range p.u.order {
		meta := p.c.roleMeta(role)
		switch old := p.c.old.roles[role]; {
		case meta == nil || !p.c.delegated(role):
		case old != nil && role != wire.RoleRevocations && fits(meta, old):
			held = append(held, role)
		default:
			fetch = append(fetch, role)
		}
	}
	return append(held, fetch...)
}

func (p *pass) commit() error {
	err := p.u.store.commit(p.c)
	if err == nil {
		p.news = false
		p.u.proven(p.c)
	}
	return err
}

func (p *pass) role(ctx context.Context, role string) error {
	b, err := p.file(ctx, role, p.c.roleMeta(role), p.c.old.roles[role], wire.MaxTargetsBytes)
	if err != nil {
		return err
	}
	return p.c.takeDelegated(role, b)
}

// load proves what is held as it was accepted, without any source.
func (s *store) load() (*chain, error) {
	if s.held.timestamp == nil {
		return nil, nil
	}
	c, err := begin(held{root: s.held.root}, floor{}, s.held.accepted)
	if err != nil {
		return nil, err
	}
	if _, err := c.takeTimestamp(s.held.timestamp); err != nil {
		return nil, fmt.Errorf("held metadata: %w", err)
	}
	if err := c.takeSnapshot(s.held.snapshot); err != nil {
		return nil, fmt.Errorf("held metadata: %w", err)
	}
	if err := c.takeTargets(s.held.targets); err != nil {
		return nil, fmt.Errorf("held metadata: %w", err)
	}
	for _, role := range slices.Sorted(maps.Keys(s.held.roles)) {
		if err := c.takeDelegated(role, s.held.roles[role]); err != nil {
			return nil, fmt.Errorf("held metadata: %w", err)
		}
	}
	return c, nil
}
