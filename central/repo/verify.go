package repo

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// Verify proves the state in force as a kiosk would that trusts the first
// root, and every target's content, and gives all faults.
func (r *Repo) Verify(now time.Time) error {
	if !r.now.complete() {
		return errors.New("nothing is in force yet: sign the drafts and run gatectl repo commit")
	}
	errs := []error{r.proveRoots(), r.now.prove(nil)}
	for _, role := range r.Status().Roles {
		if role.Version > 0 && !role.Expires.After(now) {
			errs = append(errs, fmt.Errorf("%s version %d expired at %s: gatectl repo renew %[1]s", role.Role, role.Version, role.Expires.Format(time.RFC3339)))
		}
	}
	for _, role := range r.now.delegated() {
		for path, f := range r.now.targets[role].Signed.Targets {
			errs = append(errs, r.checkContent(path, f))
		}
	}
	return errors.Join(errs...)
}

// proveRoots follows the chain of roots from the first one.
func (r *Repo) proveRoots() error {
	s := newState()
	before, err := read(s, r.dir, wire.RoleRoot, 1, metadata.Root())
	if err != nil {
		return err
	}
	for v := int64(2); v <= r.now.root.Signed.Version; v++ {
		next, err := read(s, r.dir, wire.RoleRoot, v, metadata.Root())
		if err != nil {
			return err
		}
		for _, m := range []*rootMeta{before, next} {
			if g, _ := rootGrant(m, wire.RoleRoot); !g.holds(next) || next.Signed.Version != v {
				return fmt.Errorf("root %d is not signed by the keys of root %d", v, m.Signed.Version)
			}
		}
		before = next
	}
	return nil
}

func (r *Repo) checkContent(path string, f *metadata.TargetFiles) error {
	if _, err := entryOf(path, f); err != nil {
		return err
	}
	file, err := os.Open(filepath.Join(r.dir, wire.TargetFile(path, f.Hashes["sha256"])))
	if err != nil {
		return fmt.Errorf("target %s: %w", path, err)
	}
	h := sha256.New()
	n, err := io.Copy(h, file)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("target %s: %w", path, err)
	}
	if n != f.Length || !bytes.Equal(h.Sum(nil), f.Hashes["sha256"]) {
		return fmt.Errorf("target %s: %s is damaged: publish it again with a higher version", path, file.Name())
	}
	return nil
}

// missing names a target of a role whose content is not there.
func (r *Repo) missing(m *targetsMeta) string {
	for path, f := range m.Signed.Targets {
		info, err := os.Stat(filepath.Join(r.dir, wire.TargetFile(path, f.Hashes["sha256"])))
		if err != nil || info.Size() != f.Length {
			return path
		}
	}
	return ""
}

// CopyDrafts copies drafts and metadata, without targets, into a new folder:
// for people who sign elsewhere, with gatectl repo sign on that folder.
func (r *Repo) CopyDrafts(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, folder := range []string{wire.RepoMetadata, wire.RepoTargets, PendingFolder} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			return err
		}
	}
	for role, data := range r.now.raw {
		if err := durable.WriteFile(filepath.Join(dir, wire.MetadataFile(role, r.now.versionOf(role))), data, 0o644); err != nil {
			return err
		}
	}
	other := &Repo{dir: dir, drafts: r.drafts, saved: map[string]string{}}
	return other.save()
}

// ErrOther says that a draft was changed since it was carried away.
var ErrOther = errors.New("it is not the draft that is here: carry it out again and have it signed anew")

// TakeSignatures adds the signatures that drafts in a copy have got.
func (r *Repo) TakeSignatures(from *Repo) ([]Signature, error) {
	var done []Signature
	for _, role := range slices.Sorted(maps.Keys(from.drafts)) {
		d, theirs := r.drafts[role], from.drafts[role]
		if d == nil || !sameSigned(d, theirs) {
			return nil, fmt.Errorf("draft of role %s, version %d: %w", role, theirs.version(), ErrOther)
		}
		for _, g := range r.grants(role) {
			had, got := g.signedBy(d.meta()), g.signedBy(theirs.meta())
			for _, id := range got {
				if !slices.Contains(had, id) {
					d.take(theirs, id)
					done = append(done, Signature{Role: role, Version: d.version(), KeyID: id})
				}
			}
		}
	}
	return done, nil
}

func (d *draft) signatures() *[]metadata.Signature {
	if d.root != nil {
		return &d.root.Signatures
	}
	return &d.targets.Signatures
}

func (d *draft) take(from *draft, id string) {
	ours := d.signatures()
	*ours = slices.DeleteFunc(*ours, func(s metadata.Signature) bool { return s.KeyID == id })
	for _, s := range *from.signatures() {
		if s.KeyID == id {
			*ours = append(*ours, s)
		}
	}
}

// sameSigned compares what two drafts have signed.
func sameSigned(a, b *draft) bool {
	bare := func(d *draft) string {
		data, err := d.bytes()
		if err != nil {
			return ""
		}
		c, err := parseDraft(d.role, data)
		if err != nil {
			return ""
		}
		*c.signatures() = []metadata.Signature{}
		data, err = c.bytes()
		if err != nil {
			return ""
		}
		return string(data)
	}
	x := bare(a)
	return x != "" && x == bare(b)
}
