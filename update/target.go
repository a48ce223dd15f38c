package update

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate"
	"gateagent/gate/wire"
)

// Target is a target that a role signed within its own paths.
type Target struct {
	Path   string
	Length int64
	SHA256 [sha256.Size]byte
	wire.Target
}

// Name is the last part of its path.
func (t Target) Name() string { return t.Path[strings.LastIndexByte(t.Path, '/')+1:] }

// Push is what an applier is given: all current targets of its role, in the
// order of their paths, and the means to get at those that it needs.
type Push struct {
	Targets []Target
	At      gate.TrustedTime
	// Fetch gives the path of a target's proven file. It stays until the
	// role names it no more, and nobody writes to it.
	Fetch func(context.Context, Target) (string, error)
	// Drop forgets a target's file that turns out to have been damaged since it
	// came: Fetch brings it anew.
	Drop func(Target) error
}

// Find gives the target at a path.
func (p Push) Find(path string) (Target, bool) {
	for _, t := range p.Targets {
		if t.Path == path {
			return t, true
		}
	}
	return Target{}, false
}

// Applier puts the targets of one role in force.
type Applier interface {
	// Role whose targets it takes.
	Role() string
	// Apply puts them in force, all or nothing, and gives what is in force
	// then. It is called at each start and at each change, with what may be
	// in force already. What it refuses for good, it refuses with a Refusal
	// or an error that wraps ErrFinal; anything else is tried again.
	Apply(ctx context.Context, p Push) (InForce, error)
}

// Keeper is an Applier that notices when what it put in force is damaged
// later: it is asked to apply it once more, then.
type Keeper interface {
	Applier
	Sound() bool
}

// Reprover is an Applier whose things count only as long as the metadata that
// named them do: it is asked after each pass, and takes out of force what does
// not count any more, which it says by an error.
type Reprover interface {
	Applier
	Reprove() error
}

// Returner is an Applier that keeps what was in force before.
type Returner interface {
	Applier
	// Return puts that in force again, if it still counts.
	Return() (Returned, error)
}

// Returned is what is in force after a return.
type Returned struct {
	InForce
	Statement       []byte // by which Vouch knows it
	Issued, Expires time.Time
}

// InForce is what an applier has put in force, for staff and central.
type InForce struct {
	Version uint64 `json:"version"`
	Detail  string `json:"detail,omitempty"` // a hash or a name by which two kiosks can be compared
}

// ErrFinal says that trying the same again is in vain.
var ErrFinal = errors.New("refused for good")

// ErrTrial says that something was tried and the lane did not come back with
// it.
var ErrTrial = fmt.Errorf("%w: it was tried and the lane did not come back", ErrFinal)

// targetsOf reads the targets of a role. One that lies outside the role's
// paths makes the role refused as a whole: a key that signs what is not its
// own is stolen or misused. unknown names kinds that this release ignores.
func (c *chain) targetsOf(role string) (out []Target, unknown []string, err error) {
	m := c.tm.Targets[role]
	if m == nil {
		return nil, nil, fmt.Errorf("role %s is not there", role)
	}
	for _, path := range slices.Sorted(maps.Keys(m.Signed.Targets)) {
		if owner, err := wire.TargetRole(path); err != nil || owner != role || !c.mayName(role, path) {
			return nil, nil, refuse(Overreach, role, "it names %.120q, which is not its own", path)
		}
		t, err := targetOf(path, m.Signed.Targets[path])
		if errors.Is(err, wire.ErrTargetKind) {
			unknown = append(unknown, path)
			continue
		}
		if err != nil {
			return nil, nil, refuse(Malformed, role, "%w", err)
		}
		out = append(out, t)
	}
	if m.Signed.Delegations != nil {
		return nil, nil, refuse(Overreach, role, "it delegates further, which no role of ours does")
	}
	return out, unknown, nil
}

// mayName asks the delegation itself, too.
func (c *chain) mayName(role, path string) bool {
	for _, d := range c.tm.Targets[metadata.TARGETS].Signed.Delegations.Roles {
		if d.Name == role {
			ok, err := d.IsDelegatedPath(path)
			return ok && err == nil
		}
	}
	return false
}

func targetOf(path string, f *metadata.TargetFiles) (Target, error) {
	if f == nil || f.Custom == nil {
		return Target{}, fmt.Errorf("target %s says nothing about itself", path)
	}
	c, err := wire.ParseTarget(path, *f.Custom)
	if err != nil {
		return Target{}, err
	}
	sum := f.Hashes["sha256"]
	if len(sum) != sha256.Size || f.Length < 0 {
		return Target{}, fmt.Errorf("target %s has no SHA-256 or no length", path)
	}
	return Target{Path: path, Length: f.Length, SHA256: [sha256.Size]byte(sum), Target: *c}, nil
}

// digest names a list of targets: it changes when any of them does.
func digest(targets []Target) string {
	h := sha256.New()
	for _, t := range targets {
		fmt.Fprintf(h, "%q %d %x %d\n", t.Path, t.Length, t.SHA256, t.Version)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
