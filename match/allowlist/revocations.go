package allowlist

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Layout of a file of revocations: a head of 32 bytes (magic, layout, count,
// number, base), an entry of 28 bytes each (generation 4, number 8, index 16),
// and the SHA-256 of all that. Everything is sorted by generation and index.
const (
	revokeHead  = 32
	revokeEntry = 28

	// maxRevocations bounds memory and start-up: a table that takes them into
	// account has to come first.
	maxRevocations = 1 << 18
	// MaxRevocationsFile is the longest file of revocations.
	MaxRevocationsFile = revokeHead + maxRevocations*revokeEntry + sha256.Size
)

// RevocationsFile is the name of the file in a Store's folder.
const RevocationsFile = "revocations"

var revokeMagic = [8]byte{'G', 'A', 'T', 'E', 'R', 'V', 'O', 'K'}

// Revocations take documents off a list before the next list does. The format
// can only remove: an entry is the index of a document under its generation's
// key, nothing else, and a kiosk never forgets one until a list states, by its
// own role's signature, that it takes it into account (Statement.Revoked).
//
// Every change has a number, from 1. A file holds all changes after Base, so
// whoever misses one file misses nothing.
type Revocations struct {
	Number uint64 // of the newest change
	Base   uint64 // changes up to here are not in the file
	gone   []revocation
}

// revocation is one document that is off the list.
type revocation struct {
	generation uint32
	number     uint64 // of the change that revoked it
	index      [indexSize]byte
}

func (r *revocation) compare(o *revocation) int {
	if r.generation != o.generation {
		return int(int64(r.generation) - int64(o.generation))
	}
	return bytes.Compare(r.index[:], o.index[:])
}

// Count gives the number of revoked match keys.
func (r *Revocations) Count() int { return len(r.gone) }

// Revoke makes one change: it takes documents off the lists of the secret's
// generation. A traveller whom a list knows under several match keys is named
// with all of them.
func (r *Revocations) Revoke(secret *GenerationSecret, documents ...Document) error {
	if len(documents) == 0 {
		return errors.New("revoke: no document is named")
	}
	keys, err := secret.derive()
	if err != nil {
		return err
	}
	s := newSealer(keys)
	var more []revocation
	for _, d := range documents {
		d, err := d.normalise()
		if err != nil {
			return fmt.Errorf("revoke: %w", err)
		}
		e := d.encode()
		more = append(more, revocation{secret.Generation, r.Number + 1, s.indexOf(&e)})
	}
	gone, err := union(r.gone, more)
	if err != nil {
		return err
	}
	r.Number, r.gone = r.Number+1, gone
	return nil
}

// Forget drops what every list in use takes into account: changes up to the
// number base.
func (r *Revocations) Forget(base uint64) {
	base = min(base, r.Number)
	r.Base = max(r.Base, base)
	r.gone = slices.DeleteFunc(r.gone, func(g revocation) bool { return g.number <= base })
}

// ErrUnrevoked: newer revocations lack some that are in force.
var ErrUnrevoked = errors.New("revocations lack some that are in force")

// Follows says whether a file may take the place of an older one: whatever
// that one revokes stands in it with the same change or a later one, but for
// the changes up to its base and up to taken, which lists take into account.
func (r *Revocations) Follows(old *Revocations, taken uint64) error {
	if old == nil {
		return nil
	}
	if r.Number < old.Number {
		return fmt.Errorf("%w: they end at %d and those up to %d are in force", ErrRegress, r.Number, old.Number)
	}
	var lacking int
	for i := range old.gone {
		g := &old.gone[i]
		if g.number > max(r.Base, taken) && !r.holds(g.generation, g.index, g.number-1) {
			lacking++
		}
	}
	if lacking > 0 {
		return fmt.Errorf("%w: %d of the %d match keys that changes %d to %d took off are not in the file that ends at %d; publish one that holds every change since its base, or first a list that takes them into account",
			ErrUnrevoked, lacking, len(old.gone), old.Base+1, old.Number, r.Number)
	}
	return nil
}

// union gives the entries of both; the later number stays.
func union(a, b []revocation) ([]revocation, error) {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y revocation) int {
		if c := x.compare(&y); c != 0 {
			return c
		}
		switch {
		case x.number > y.number:
			return -1
		case x.number < y.number:
			return 1
		}
		return 0
	})
	all = slices.CompactFunc(all, func(x, y revocation) bool { return x.compare(&y) == 0 })
	if len(all) > maxRevocations {
		return nil, fmt.Errorf("revocations: more than %d; publish a list that takes them into account first", maxRevocations)
	}
	return all, nil
}

// Marshal gives the bytes of the file.
func (r *Revocations) Marshal() []byte {
	be := binary.BigEndian
	b := make([]byte, revokeHead, revokeHead+len(r.gone)*revokeEntry+sha256.Size)
	copy(b, revokeMagic[:])
	be.PutUint32(b[8:], Layout)
	be.PutUint32(b[12:], uint32(len(r.gone)))
	be.PutUint64(b[16:], r.Number)
	be.PutUint64(b[24:], r.Base)
	for i := range r.gone {
		g := &r.gone[i]
		b = be.AppendUint32(b, g.generation)
		b = be.AppendUint64(b, g.number)
		b = append(b, g.index[:]...)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// ParseRevocations reads what Marshal wrote and nothing else. The sum in the
// file guards against damage on the disk alone; who made it is proven by
// whoever brings it.
func ParseRevocations(b []byte) (*Revocations, error) {
	fault := func(what string) error {
		return fmt.Errorf("%w: revocations: %s; fetch them again", ErrDamaged, what)
	}
	be := binary.BigEndian
	if len(b) < revokeHead+sha256.Size || [8]byte(b[:8]) != revokeMagic {
		return nil, fault("the file is none of revocations")
	}
	if v := be.Uint32(b[8:]); v != Layout {
		return nil, fault(fmt.Sprintf("layout %d, this program reads layout %d", v, Layout))
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if sha256.Sum256(body) != [sha256.Size]byte(sum) {
		return nil, fault("the file is altered or cut short")
	}
	n := be.Uint32(b[12:])
	r := &Revocations{Number: be.Uint64(b[16:]), Base: be.Uint64(b[24:])}
	if n > maxRevocations || len(body) != revokeHead+int(n)*revokeEntry || r.Base > r.Number {
		return nil, fault("it states impossible counts")
	}
	r.gone = make([]revocation, 0, n)
	for body = body[revokeHead:]; len(body) > 0; body = body[revokeEntry:] {
		g := revocation{be.Uint32(body), be.Uint64(body[4:]), [indexSize]byte(body[12:])}
		if g.generation == 0 || g.number == 0 || g.number > r.Number {
			return nil, fault("an entry has an impossible number")
		}
		if last := len(r.gone) - 1; last >= 0 && r.gone[last].compare(&g) >= 0 {
			return nil, fault("entries are out of order")
		}
		r.gone = append(r.gone, g)
	}
	return r, nil
}

// holds says whether a document is off a list of the generation that takes
// changes up to the number taken into account.
func (r *Revocations) holds(generation uint32, index [indexSize]byte, taken uint64) bool {
	if r == nil {
		return false
	}
	i, found := slices.BinarySearchFunc(r.gone, revocation{generation: generation, index: index},
		func(a, b revocation) int { return a.compare(&b) })
	return found && r.gone[i].number > taken
}
