package repo

import (
	"crypto"
	"fmt"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate/wire"
)

type (
	rootMeta      = metadata.Metadata[metadata.RootType]
	targetsMeta   = metadata.Metadata[metadata.TargetsType]
	snapshotMeta  = metadata.Metadata[metadata.SnapshotType]
	timestampMeta = metadata.Metadata[metadata.TimestampType]
)

// draft is a role's metadata on its way to its signatures: root, or targets
// and what is delegated.
type draft struct {
	role    string
	root    *rootMeta
	targets *targetsMeta
}

func (d *draft) meta() any {
	if d.root != nil {
		return d.root
	}
	return d.targets
}

func (d *draft) version() int64 {
	if d.root != nil {
		return d.root.Signed.Version
	}
	return d.targets.Signed.Version
}

func (d *draft) expires() time.Time {
	if d.root != nil {
		return d.root.Signed.Expires
	}
	return d.targets.Signed.Expires
}

func (d *draft) bytes() ([]byte, error) {
	if d.root != nil {
		return d.root.ToBytes(false)
	}
	return d.targets.ToBytes(false)
}

// edited makes the draft of one that is signed or in force: its signatures
// are void.
func (d *draft) edited(version int64, expires time.Time) {
	if d.root != nil {
		d.root.Signed.Version, d.root.Signed.Expires, d.root.Signatures = version, expires, []metadata.Signature{}
		return
	}
	d.targets.Signed.Version, d.targets.Signed.Expires, d.targets.Signatures = version, expires, []metadata.Signature{}
}

func (d *draft) sign(key crypto.Signer) error {
	if d.root != nil {
		return sign(d.root, key)
	}
	return sign(d.targets, key)
}

// sign replaces the signature of a key: TUF refuses two of one key.
func sign[T metadata.Roles](m *metadata.Metadata[T], key crypto.Signer) error {
	id, err := KeyID(key.Public())
	if err != nil {
		return err
	}
	m.Signatures = slices.DeleteFunc(m.Signatures, func(s metadata.Signature) bool { return s.KeyID == id })
	if _, err := m.Sign(signer{key}); err != nil {
		return fmt.Errorf("sign with key %s: %w", short(id), err)
	}
	m.Signatures[len(m.Signatures)-1].KeyID = id // go-tuf takes every ECDSA key for one on P-256
	return nil
}

func parseDraft(role string, data []byte) (*draft, error) {
	d := &draft{role: role}
	var err error
	if role == wire.RoleRoot {
		d.root, err = metadata.Root().FromBytes(data)
	} else {
		d.targets, err = metadata.Targets().FromBytes(data)
	}
	if err != nil {
		return nil, fmt.Errorf("metadata of role %s: %w", role, err)
	}
	return d, nil
}

// short abbreviates a key id for people.
func short(id string) string { return id[:min(len(id), 12)] }

// Validity is how long metadata of a role is valid when it is signed.
func Validity(role string) time.Duration {
	const day = 24 * time.Hour
	switch role {
	case wire.RoleRoot:
		return 365 * day
	case wire.RoleSnapshot:
		return 7 * day
	case wire.RoleTimestamp:
		return day
	case wire.RoleRevocations:
		return 3 * day
	}
	return 90 * day
}

// timestampEvery is how old the timestamp gets before it is signed anew: its
// age is what a kiosk knows of its own freshness.
const timestampEvery = time.Hour

// due says whether metadata that is signed online is to be signed anew.
func due(role string, expires, now time.Time) bool {
	left := Validity(role) / 2
	if role == wire.RoleTimestamp {
		left = Validity(role) - timestampEvery
	}
	return expires.Sub(now) < left
}

func until(now time.Time, role string) time.Time {
	return now.Add(Validity(role)).UTC().Truncate(time.Second)
}
