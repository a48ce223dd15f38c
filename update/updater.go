package update

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate"
	"gateagent/gate/wire"
)

// Config is what an Updater needs. Zero times take their defaults.
type Config struct {
	Dir     string   // a folder of its own inside the state folder
	Root    []byte   // the root that the kiosk was given; needed at the first start
	Airport string   // whose lists this kiosk takes (IATA); empty takes none
	Sources []Source // mirrors, in the order in which they are tried
	// Time is the lane's trusted time.
	Time func() gate.TrustedTime
	// Signed is told of times under a valid signature: a clock that lies
	// before them is wrong. Nil tells nobody.
	Signed   func(time.Time)
	Appliers []Applier
	Ages     []Age         // what the age of things leads to
	Every    time.Duration // between looks at the sources; 5 min
	Log      *slog.Logger  // nil is silent
}

// Times of an Updater.
const (
	everyUsual  = 5 * time.Minute
	inboxEvery  = time.Second
	retryFirst  = 300 * time.Millisecond
	forgedPause = 30 * time.Second // between looks that nothing but unproven bytes asked for
)

// Updater keeps a kiosk current. New, then Start, then Run.
type Updater struct {
	cfg    Config
	log    *slog.Logger
	pace   pace
	store  *store // belongs to Start and Run's own goroutine
	order  []string
	byRole map[string]Applier

	inHand  map[string]bool // imports; belongs to Run's goroutine
	imports sync.WaitGroup

	wake  chan []byte
	jobs  chan job
	again chan struct{}
	ready chan struct{}

	mu sync.Mutex // guards what follows
	state
}

// job is work for the appliers after a pass.
type job struct {
	c    *chain
	src  Source
	done chan struct{} // closed when it is done; nil: nobody waits
}

// New checks the configuration and opens the folder. What is damaged there is
// reported and fetched again.
func New(cfg Config) (*Updater, error) {
	if cfg.Time == nil || cfg.Dir == "" {
		return nil, errors.New("update: folder and clock are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Every <= 0 {
		cfg.Every = everyUsual
	}
	u := &Updater{cfg: cfg, log: cfg.Log, pace: usualPace, byRole: map[string]Applier{}, inHand: map[string]bool{},
		wake: make(chan []byte, 1), jobs: make(chan job, 1), again: make(chan struct{}, 1), ready: make(chan struct{}), state: newState()}
	// Revocations first: they only ever remove. Software and models last, since
	// they are large.
	u.order = []string{wire.RoleRevocations, wire.RoleTrust}
	if cfg.Airport != "" {
		role, err := wire.AirportRole(cfg.Airport)
		if err != nil {
			return nil, fmt.Errorf("update: %w", err)
		}
		u.order = append(u.order, role)
	}
	u.order = append(u.order, wire.RoleSettings, wire.RoleSoftware, wire.RoleModels)
	for _, a := range cfg.Appliers {
		u.byRole[a.Role()] = a
	}
	var err error
	u.store, err = openStore(cfg.Dir, cfg.Root)
	if u.store == nil {
		return nil, err
	}
	if err != nil {
		u.log.Error("update folder", "err", err)
		u.trouble("update folder", err.Error())
	}
	return u, nil
}

// Start puts the revocations in force that the folder holds, before anything
// else; it needs no network. Whatever is wrong is said in the notices: what is
// in force elsewhere on this kiosk stays so.
func (u *Updater) Start(ctx context.Context) {
	c, err := u.store.load()
	if err != nil {
		u.log.Warn("what the update folder holds counts no more; it is fetched again", "err", err)
		return
	}
	if c == nil {
		return
	}
	u.proven(c)
	// Only what lies on the disk: a mirror that does not answer must keep no
	// gate shut.
	if err := u.apply(ctx, c, wire.RoleRevocations, &fetcher{store: u.store}); err != nil {
		u.log.Error("revocations", "err", err)
	}
	u.hand(job{c: c})
}

// Ready is closed when what the folder held is in force.
func (u *Updater) Ready() <-chan struct{} { return u.ready }

// Wake tells of a timestamp that somebody pushed. It never blocks, and the
// bytes are trusted with nothing: at worst they cost one look at a mirror.
func (u *Updater) Wake(timestamp []byte) {
	if len(timestamp) == 0 || len(timestamp) > wire.MaxTimestampBytes {
		return
	}
	for {
		select {
		case u.wake <- timestamp:
			return
		default:
		}
		select {
		case <-u.wake:
		default:
		}
	}
}

// Again has what could not be put in force tried now and not within a minute:
// what it lacked has come. It never blocks.
func (u *Updater) Again() {
	select {
	case u.again <- struct{}{}:
	default: // it is due already
	}
}

// Run looks at the sources until ctx ends.
func (u *Updater) Run(ctx context.Context) error {
	u.forgetReturns()
	close(u.ready)
	var appliers sync.WaitGroup
	appliers.Go(func() { u.work(ctx) })
	defer func() {
		appliers.Wait()
		u.imports.Wait()
	}()
	inbox := time.NewTicker(inboxEvery)
	defer inbox.Stop()
	look := time.NewTimer(0)
	defer look.Stop()
	var forged time.Time // when unproven bytes last made us look
	wait := retryFirst
	for {
		var hint []byte
		woken := false
		select {
		case <-ctx.Done():
			return nil
		case <-inbox.C:
			u.takeInbox(ctx)
			u.writeStatus()
			continue
		case <-look.C:
		case hint = <-u.wake:
			woken = true
			switch u.judgeHint(hint) {
			case hintOld:
				continue
			case hintUnproven:
				if time.Since(forged) < forgedPause {
					continue
				}
				forged, hint = time.Now(), nil
			}
		}
		ok := u.lookAll(ctx, hint)
		u.writeStatus()
		next := u.cfg.Every/2 + rand.N(u.cfg.Every/2+1)
		if ok {
			wait = retryFirst
		} else if woken || wait > retryFirst {
			// Something is new and could not be had: a mirror may lag behind.
			next = min(wait, next)
			wait *= 2
		}
		if next >= u.cfg.Every {
			wait = retryFirst
		}
		look.Reset(next)
	}
}

// What a pushed timestamp is worth.
type hintWorth int

const (
	hintUnproven hintWorth = iota // no key that is known here; perhaps of a newer root
	hintOld                       // nothing new
	hintNew
)

// judgeHint looks whether a pushed timestamp is new, without any source.
func (u *Updater) judgeHint(b []byte) hintWorth {
	at := u.cfg.Time()
	c, err := begin(u.store.held, u.store.floor, at.Now)
	if err != nil || !at.Trusted {
		return hintUnproven
	}
	news, err := c.takeTimestamp(b)
	switch {
	case err == nil && news:
		return hintNew
	case err == nil, is[metadata.ErrEqualVersionNumber](err):
		return hintOld
	case attackOf(err) == Rollback:
		return hintOld // a broker may have kept an older one
	}
	u.refused("push", err)
	return hintUnproven
}

// lookAll tries the sources in their order until one does.
func (u *Updater) lookAll(ctx context.Context, hint []byte) bool {
	var errs []error
	for _, src := range u.cfg.Sources {
		err := u.refresh(ctx, src, hint)
		if hint != nil && attackOf(err) == Forgery {
			err = u.refresh(ctx, src, nil) // a newer root may have taken its key away
		}
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			u.looked(src, nil)
			return true
		}
		u.suspect(src, err)
		errs = append(errs, fmt.Errorf("%s: %w", src.Name(), err))
		if errors.Is(err, ErrClock) {
			break
		}
	}
	if len(errs) > 0 {
		u.looked(nil, errors.Join(errs...))
	}
	return len(errs) == 0
}

// hand gives work to the appliers; older work that nobody has begun is
// replaced.
func (u *Updater) hand(j job) {
	for {
		select {
		case u.jobs <- j:
			return
		default:
		}
		select {
		case old := <-u.jobs:
			old.finish()
		default:
		}
	}
}

func (j job) finish() {
	if j.done != nil {
		close(j.done)
	}
}

// applyAgain is how often what failed to be put in force is tried again.
const applyAgain = time.Minute

// work runs the appliers beside the looks at the sources, so that a large
// target keeps no revocation waiting.
func (u *Updater) work(ctx context.Context) {
	again := time.NewTicker(applyAgain)
	defer again.Stop()
	var last job
	for {
		select {
		case <-ctx.Done():
			return
		case last = <-u.jobs:
		case <-again.C:
			last.done = nil
		case <-u.again:
			last.done = nil
		}
		if last.c == nil {
			continue // nothing was proven yet
		}
		u.workOn(ctx, last)
	}
}

func (u *Updater) workOn(ctx context.Context, j job) {
	for _, role := range u.order {
		if role != wire.RoleRevocations {
			_ = u.apply(ctx, j.c, role, u.fetcher(j.src)) // its notice says it
			u.reprove(role)
		}
	}
	if err := u.store.sweep(u.wanted(j.c)); err != nil {
		u.log.Warn("old targets could not be removed", "err", err)
	}
	j.finish()
}

// apply has the applier of a role put its targets in force, where they
// changed since it last did.
func (u *Updater) apply(ctx context.Context, c *chain, role string, from *fetcher) error {
	a := u.byRole[role]
	if a == nil || c.tm.Targets[role] == nil {
		return nil
	}
	targets, unknown, err := c.targetsOf(role)
	u.roleRefused(role, err)
	if err != nil {
		return err
	}
	u.ignored(role, unknown)
	meta := c.tm.Targets[role].Signed.Version
	if done, held := u.settled(role, digest(targets), meta); done {
		if k, ok := a.(Keeper); !ok || !held || k.Sound() {
			return u.ground(c, role, targets, held)
		}
	}
	began := time.Now()
	var in InForce
	if err = u.ground(c, role, targets, false); err == nil {
		in, err = a.Apply(ctx, Push{Targets: targets, At: u.cfg.Time(), Fetch: from.fetch, Drop: u.store.drop})
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = u.ground(c, role, targets, true)
	}
	u.applied(role, meta, targets, in, err)
	if err != nil {
		u.refused("role "+role, err)
		return fmt.Errorf("%s: %w", role, err)
	}
	u.log.Info("in force", "role", role, "version", in.Version, "detail", in.Detail, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// reprove asks whether what a role put in force still counts: not before its
// successor had the chance to take its place.
func (u *Updater) reprove(role string) {
	if r, ok := u.byRole[role].(Reprover); ok {
		if err := r.Reprove(); err != nil {
			u.outOfForce(role, err)
		}
	}
}

// fetcher asks the source first that the metadata came from.
func (u *Updater) fetcher(src Source) *fetcher {
	f := &fetcher{store: u.store, pace: u.pace, free: freeBytes, suspect: u.suspect}
	if src != nil {
		f.sources = append(f.sources, src)
	}
	for _, s := range u.cfg.Sources {
		if s != src {
			f.sources = append(f.sources, s)
		}
	}
	return f
}
