package uplink

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"gateagent/gate/wire"
)

// errBetter ends a connection because a better path has been stable.
var errBetter = errors.New("a better path works again")

// makeRoutes checks the paths. Without any there is one: the kernel's routes.
func makeRoutes(cfg *Config) ([]*route, *budgets, error) {
	paths := cfg.Paths
	if len(paths) == 0 {
		paths = []Path{{}}
	}
	fallback := cfg.Brokers
	if len(fallback) == 0 {
		fallback = cfg.Identity.Broker
	}
	zone, now := cfg.Zone, cfg.Now
	if zone == nil {
		zone = time.UTC
	}
	if now == nil {
		now = time.Now
	}
	all := openBudgets(cfg.Dir, zone, now, cfg.Log)
	var routes []*route
	for i, p := range paths {
		if len(p.Brokers) == 0 {
			p.Brokers = fallback
		}
		if err := checkPath(p, len(paths)); err != nil {
			return nil, nil, err
		}
		r := &route{Path: p, rank: i, wait: cfg.RedialMin, hold: cfg.Stable}
		if p.Budget > 0 {
			r.budget = all.add(p.Name, p.Budget, p.Period)
		}
		routes = append(routes, r)
	}
	all.load()
	return routes, all, nil
}

func checkPath(p Path, n int) error {
	if len(p.Brokers) == 0 {
		return errors.New("uplink: no broker address: neither the configuration nor the kiosk's bundle has one")
	}
	for _, b := range p.Brokers {
		u, err := url.Parse(b)
		if err != nil || u.Scheme != "tls" || u.Hostname() == "" || u.Port() == "" {
			return fmt.Errorf("uplink: broker address %q: want tls://host:port", b)
		}
	}
	if p.Name == "" && (n > 1 || p.Budget > 0) {
		return errors.New("uplink: a path without a name")
	}
	if p.Budget < 0 || p.Budget > 0 && p.Period != PeriodDay && p.Period != PeriodMonth {
		return fmt.Errorf("uplink: path %s: a budget of %d bytes for each %q", p.Name, p.Budget, p.Period)
	}
	return nil
}

// Run keeps the connection up until the context ends. It returns nil then and
// nothing else ends it: a gate works without central.
func (u *Uplink) Run(ctx context.Context) error {
	defer u.budgets.close()
	var looking sync.WaitGroup
	defer looking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if len(u.routes) > 1 {
		looking.Go(func() { u.lookAround(ctx) })
	}
	for ctx.Err() == nil {
		r, pause := u.pick(time.Now())
		if r == nil {
			sleep(ctx, pause)
			continue
		}
		broker := r.Brokers[r.broker%len(r.Brokers)]
		progress, err := u.session(ctx, r, broker)
		lasted := u.setUp(nil)
		if ctx.Err() == nil {
			u.ended(r, broker, progress, lasted, err)
		}
	}
	return nil
}

// idlePause is how long Run waits at most when no path may be used.
const idlePause = time.Second

// pick chooses the best path that may be tried now: one that is not known to
// be dead if there is one. Where there is none it says how long to wait.
func (u *Uplink) pick(now time.Time) (*route, time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var dead *route
	pause := idlePause
	for _, r := range u.routes {
		if r.metered() && r.spent() {
			continue
		}
		if wait := r.retryAt.Sub(now); wait > 0 {
			pause = min(pause, wait)
			continue
		}
		if !r.known || r.works {
			return r, 0
		}
		if dead == nil {
			dead = r
		}
	}
	return dead, pause
}

func (r *route) spent() bool {
	_, _, stage := r.budget.state()
	return stage == stageSpent
}

// ended draws the consequences of a connection's end. lasted is 0 when there
// was none.
func (u *Uplink) ended(r *route, broker string, progress bool, lasted time.Duration, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if progress {
		r.wait, u.silent = u.cfg.RedialMin, 0
	}
	if lasted > 0 {
		r.failed = 0
	} else {
		r.failed++
	}
	if errors.Is(err, errBetter) || errors.Is(err, errSpent) {
		u.log.Info("the path to central's broker is left", "path", r.Name, "why", err)
		return
	}
	r.broker++
	pause := jitter(r.wait)
	r.wait = min(2*r.wait, u.cfg.RedialMax)
	if r.metered() && errors.Is(err, errNoAck) {
		pause = min(silentMetered<<min(u.silent, 3), longMetered)
		u.silent++
	}
	r.retryAt = time.Now().Add(pause)
	// A broker may answer each look, and then let nobody in.
	deceived := lasted == 0 && r.works
	r.known, r.works, r.since, r.problem = true, false, time.Time{}, err
	switch {
	case lasted > 10*u.cfg.Stable:
		r.hold = u.cfg.Stable
	case lasted > 0 || deceived:
		r.hold = min(2*r.hold, maxHold*u.cfg.Stable)
	}
	u.log.Warn("no connection to central", "path", r.Name, "broker", broker, "err", err, "retry_in", pause.Round(time.Millisecond))
	u.setNotice("uplink", "warning", "no connection to central, results are kept here: "+reason(err), 0)
}

// lookAround finds out, while one path is in use, whether the others work:
// the better ones to go back to, the rest so that a dead reserve is known
// before it is needed.
func (u *Uplink) lookAround(ctx context.Context) {
	tick := time.NewTicker(u.cfg.Look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var all sync.WaitGroup
		for _, r := range u.due(time.Now()) {
			all.Go(func() {
				err := u.probe(ctx, r)
				if ctx.Err() == nil {
					u.found(r, err)
				}
			})
		}
		all.Wait()
	}
}

// due says which paths are to be looked at.
func (u *Uplink) due(now time.Time) []*route {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.current == nil {
		return nil // Run tries them itself
	}
	var out []*route
	for _, r := range u.routes {
		every := u.cfg.Look
		if r.rank > u.current.rank {
			every *= backupEvery
		}
		if r.metered() {
			_, _, stage := r.budget.state()
			if stage == stageSpent || stage != stagePlenty && r.rank > u.current.rank {
				continue
			}
			every *= meteredEvery * time.Duration(r.beats()/plentyBeats) // the scarcer its bytes, the more seldom
		}
		// The ticks are not exact: half of one belongs to this one.
		if r != u.current && now.Sub(r.looked) > every-u.cfg.Look/2 {
			r.looked = now
			out = append(out, r)
		}
	}
	return out
}

// found notes what a look at a path found.
func (u *Uplink) found(r *route, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil && (!r.known || r.works) {
		u.log.Warn("a path to central's broker does not work", "path", r.Name, "err", err)
	}
	if err == nil && r.known && !r.works {
		u.log.Info("a path to central's broker works", "path", r.Name)
	}
	if err != nil {
		r.known, r.works, r.since, r.problem = true, false, time.Time{}, err
		return
	}
	if !r.works || r.since.IsZero() {
		r.since = time.Now()
	}
	r.known, r.works, r.problem = true, true, nil
	if time.Since(r.since) >= r.hold && u.current != nil && r.rank < u.current.rank {
		r.retryAt, r.wait = time.Time{}, u.cfg.RedialMin
	}
}

// better says whether a better path than the one in use has been stable.
func (u *Uplink) better(than *route) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range u.routes[:than.rank] {
		if r.works && time.Since(r.since) >= r.hold && r.retryAt.IsZero() && !(r.metered() && r.spent()) {
			return true
		}
	}
	return false
}

// quick says whether another path could be used instead: then a dead one is
// given up early.
func (u *Uplink) quick() bool { return len(u.routes) > 1 }

// dialLimit bounds a connection attempt: short while there are other paths,
// longer each time, for a path that is merely slow.
func (u *Uplink) dialLimit(r *route) time.Duration {
	if !u.quick() {
		return u.cfg.Dial
	}
	return min(dialQuick<<min(r.failed, 8), u.cfg.Dial)
}

// plentyBeats is how many heartbeats of the usual pace become one over a
// metered path of which most is left.
const plentyBeats = 6

// beats says how many heartbeats of the usual pace become one over a path.
func (r *route) beats() int {
	if !r.metered() {
		return 1
	}
	switch _, _, stage := r.budget.state(); stage {
	case stagePlenty:
		return plentyBeats
	case stageLow:
		return 60
	}
	return 360
}

// describe fills in the status what path is in use.
func (u *Uplink) describe(st *wire.Status, r *route) {
	st.Uplink = wire.UplinkStatus{Path: r.Name, Heartbeat: int((u.cfg.Heartbeat * time.Duration(r.beats())).Seconds())}
	if r.metered() {
		left, until, _ := r.budget.state()
		st.Uplink.Budget, st.Uplink.Left, st.Uplink.Until = r.Budget, max(0, left), until.UTC()
	}
}
