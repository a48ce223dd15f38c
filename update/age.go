package update

import (
	"fmt"
	"slices"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
)

// Timestamp is what Age.Of calls the newest signed timestamp; the rest are
// roles, "list" for the airport's.
const Timestamp = "timestamp"

// Age says what the age of a thing leads to. Zero durations lead to nothing.
type Age struct {
	Of    string
	Show  time.Duration // staff see it
	Flag  time.Duration // results carry it
	Refer time.Duration // nobody is admitted
}

// Overdue is a thing that is older than the policy wants.
type Overdue struct {
	Of     string
	Age    time.Duration
	Never  bool // it has never been there
	Flags  bool
	Refers bool
}

func (o Overdue) level() string {
	if o.Refers || o.Flags {
		return "fault"
	}
	return "warning"
}

func (o Overdue) text() string {
	what := o.Of
	switch o.Of {
	case Timestamp:
		what = "the newest word of the repository"
	case wire.RoleRevocations:
		what = "the revocations"
	}
	text := fmt.Sprintf("%s: %s old", what, round(o.Age))
	if o.Never {
		text = what + ": none has come yet"
	}
	if o.Of == Timestamp || o.Of == wire.RoleRevocations {
		text += "; whoever was revoked since then is not known here"
	}
	switch {
	case o.Refers:
		text += "; everybody is referred to staff until it comes"
	case o.Flags:
		text += "; results say so"
	}
	return text
}

// round keeps a notice from changing all the time.
func round(d time.Duration) string {
	switch {
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/(10*time.Minute)*10)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// Overdue lists what is older than the policy wants at a trusted time. With a
// time that is not trusted nothing can be said; then nobody passes anyway.
func (u *Updater) Overdue() []Overdue {
	now := u.cfg.Time()
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.overdue(now)
}

func (u *Updater) overdue(now gate.TrustedTime) []Overdue {
	var out []Overdue
	if !now.Trusted {
		return nil
	}
	for _, a := range u.cfg.Ages {
		issued := u.issuedOf(a.Of)
		o := Overdue{Of: a.Of, Never: issued.IsZero(), Age: now.Now.Sub(issued)}
		past := func(limit time.Duration) bool { return limit > 0 && (o.Never || o.Age >= limit) }
		o.Flags, o.Refers = past(a.Flag), past(a.Refer)
		if past(a.Show) || o.Flags || o.Refers {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b Overdue) int { return weight(b) - weight(a) })
	return out
}

func weight(o Overdue) int {
	switch {
	case o.Refers:
		return 2
	case o.Flags:
		return 1
	}
	return 0
}

// issuedOf says when a thing was issued; zero when it is not there. u.mu is
// held.
func (u *Updater) issuedOf(of string) time.Time {
	if of == Timestamp {
		return u.issued
	}
	if of == wire.KindList {
		of, _ = wire.AirportRole(u.cfg.Airport)
	}
	if r := u.roles[of]; r != nil {
		return r.issued
	}
	return time.Time{}
}
