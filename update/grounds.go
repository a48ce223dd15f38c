package update

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// The newest metadata need not name the list in force: its successor may still
// be on its way, or be refused, or have been taken back. groundsFile keeps the
// word of the airport's role from when a list came into force, so that a start
// can prove the list that lies there, and a return the one before.
const (
	groundsFile = "grounds"
	keepGrounds = 4 // of lists that were in force, and of such that never were
	maxGrounds  = 2 * keepGrounds * wire.MaxTargetsBytes * 2
)

// ErrNotVouched says that no metadata that count today name a list.
var ErrNotVouched = errors.New("no metadata that are proven today name this list")

// ground is the airport's metadata that named a list.
type ground struct {
	Statement string `json:"statement"` // SHA-256 of the list's statement
	Role      []byte `json:"role"`      // the metadata, as they were proven
	InForce   bool   `json:"in_force"`  // the list came into force
}

// readGrounds drops what is damaged: a list that it vouched for has to come
// again, then.
func (s *store) readGrounds() []ground {
	b, err := readAtMost(s.path(groundsFile), maxGrounds)
	var all []ground
	if err != nil || unsum(b, &all) != nil {
		return nil
	}
	return all
}

// keepGround keeps the metadata of a role that names a list, on the disk
// before it returns: first when the list is about to come into force, then
// when it has.
func (s *store) keepGround(statement [sha256.Size]byte, role []byte, inForce bool) error {
	g := ground{hex.EncodeToString(statement[:]), bytes.Clone(role), inForce}
	had := s.readGrounds()
	all := slices.DeleteFunc(slices.Clone(had), func(old ground) bool {
		if old.Statement == g.Statement {
			g.InForce = g.InForce || old.InForce
			return true
		}
		return false
	})
	all = trimmed(append(all, g))
	if slices.EqualFunc(all, had, func(a, b ground) bool {
		return a.Statement == b.Statement && a.InForce == b.InForce && bytes.Equal(a.Role, b.Role)
	}) {
		return nil
	}
	b, err := withSum(all)
	if err != nil {
		return err
	}
	return durable.WriteFile(s.path(groundsFile), b, 0o600)
}

// trimmed drops the oldest of too many.
func trimmed(all []ground) []ground {
	left := map[bool]int{true: keepGrounds, false: keepGrounds}
	var out []ground
	for _, g := range slices.Backward(all) {
		if left[g.InForce]--; left[g.InForce] >= 0 {
			out = append(out, g)
		}
	}
	slices.Reverse(out)
	return out
}

// vouch says whether a statement is one that the airport's keys of today have
// signed: it stands in the newest metadata, or in older ones that came into
// force here and whose keys still count. c is the newest that was proven.
func (s *store) vouch(c *chain, airport string, statement []byte) (version int64, err error) {
	role, err := wire.AirportRole(airport)
	if err != nil {
		return 0, err
	}
	if c == nil {
		return 0, ErrNotVouched
	}
	sum := sha256.Sum256(statement)
	if c.names(role, wire.ListPath(airport), sum) {
		return c.tm.Targets[role].Signed.Version, nil
	}
	for _, g := range s.readGrounds() {
		if g.Statement != hex.EncodeToString(sum[:]) {
			continue
		}
		if old, err := c.with(role, g.Role); err == nil && old.names(role, wire.ListPath(airport), sum) {
			return old.tm.Targets[role].Signed.Version, nil
		}
	}
	return 0, ErrNotVouched
}

// names says whether a role that counts names a target with this content.
func (c *chain) names(role, path string, sum [sha256.Size]byte) bool {
	if c.tm.Targets[role] == nil {
		return false
	}
	targets, _, err := c.targetsOf(role)
	return err == nil && slices.ContainsFunc(targets, func(t Target) bool { return t.Path == path && t.SHA256 == sum })
}

// with gives a chain in which a role says what it once said, if the keys that
// count today have signed that.
func (c *chain) with(role string, b []byte) (*chain, error) {
	var m *metadata.Metadata[metadata.TargetsType]
	err := guard(role, func() (err error) {
		if m, err = metadata.Targets().FromBytes(b); err != nil {
			return err
		}
		return c.tm.Targets[metadata.TARGETS].VerifyDelegate(role, m)
	})
	if err != nil {
		return nil, err
	}
	targets := maps.Clone(c.tm.Targets)
	targets[role] = m
	return &chain{tm: &trustedmetadata.TrustedMetadata{Root: c.tm.Root, Targets: targets}}, nil
}

// Vouch says whether a list that lies on the kiosk's disk is one that the
// metadata in the update folder prove: an error when not. root is the root
// that the kiosk was given. It needs no Updater, for a list is opened first.
func Vouch(dir string, root []byte, airport string, statement []byte) error {
	s, err := openStore(dir, root)
	if s == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c, bad := s.load()
	if err = errors.Join(err, bad); err != nil {
		return err
	}
	_, err = s.vouch(c, airport, statement)
	return err
}

// Vouch does the same with what was proven last.
func (u *Updater) Vouch(statement []byte) error {
	_, err := u.vouched(statement)
	return err
}

// vouched also gives the version of the metadata that name the list.
func (u *Updater) vouched(statement []byte) (int64, error) {
	u.mu.Lock()
	c := u.latest
	u.mu.Unlock()
	return u.store.vouch(c, u.cfg.Airport, statement)
}

// ground keeps what vouches for the airport's list, before it comes into force
// and once it has.
func (u *Updater) ground(c *chain, role string, targets []Target, inForce bool) error {
	if own, err := wire.AirportRole(u.cfg.Airport); err != nil || own != role {
		return nil
	}
	list, ok := Push{Targets: targets}.Find(wire.ListPath(u.cfg.Airport))
	if !ok {
		return nil
	}
	return u.store.keepGround(list.SHA256, c.new.roles[role], inForce)
}
