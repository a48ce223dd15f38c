package repo

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// RoleKeys says whose signatures a role takes: Threshold of Keys.
type RoleKeys struct {
	Keys      []crypto.PublicKey // Ed25519, or ECDSA on P-256 or P-384
	Threshold int
}

// KeyID names a public key as TUF does: the SHA-256 of its canonical form
// (specification, section 4.2).
func KeyID(pub crypto.PublicKey) (string, error) {
	k, err := keyOf(pub)
	if err != nil {
		return "", err
	}
	return k.ID()
}

func keyOf(pub crypto.PublicKey) (*metadata.Key, error) {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return nil, errors.New("an Ed25519 public key of the wrong length")
		}
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return nil, errors.New("an ECDSA key that is neither on P-256 nor on P-384")
		}
	default:
		return nil, fmt.Errorf("a key of type %T: want Ed25519, or ECDSA on P-256 or P-384", pub)
	}
	key, err := metadata.KeyFromPublicKey(pub)
	if err == nil && onP384(pub) {
		key.Scheme = metadata.KeySchemeECDSA_SHA2_P384 // go-tuf verifies by it and names every ECDSA key P-256
	}
	return key, err
}

func onP384(pub crypto.PublicKey) bool {
	k, ok := pub.(*ecdsa.PublicKey)
	return ok && k.Curve == elliptic.P384()
}

// signer lets go-tuf sign with a key wherever it lies.
type signer struct{ key crypto.Signer }

func (s signer) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return s.key.Public(), nil
}

func (s signer) SignMessage(message io.Reader, _ ...signature.SignOption) ([]byte, error) {
	data, err := io.ReadAll(message)
	if err != nil {
		return nil, err
	}
	if _, ok := s.key.Public().(ed25519.PublicKey); ok {
		return s.key.Sign(rand.Reader, data, crypto.Hash(0))
	}
	if onP384(s.key.Public()) {
		sum := sha512.Sum384(data)
		return s.key.Sign(rand.Reader, sum[:], crypto.SHA384)
	}
	sum := sha256.Sum256(data)
	return s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
}

// grant is what a delegator says about a role.
type grant struct {
	ids       []string
	threshold int
	keys      map[string]*metadata.Key
}

func rootGrant(root *rootMeta, role string) (grant, bool) {
	if root == nil {
		return grant{}, false
	}
	r, ok := root.Signed.Roles[role]
	if !ok {
		return grant{}, false
	}
	return grant{r.KeyIDs, r.Threshold, root.Signed.Keys}, true
}

func targetsGrant(targets *targetsMeta, role string) (grant, bool) {
	if targets == nil || targets.Signed.Delegations == nil {
		return grant{}, false
	}
	for _, r := range targets.Signed.Delegations.Roles {
		if r.Name == role {
			return grant{r.KeyIDs, r.Threshold, targets.Signed.Delegations.Keys}, true
		}
	}
	return grant{}, false
}

// signedBy lists the keys of a grant whose signature meta has.
func (g grant) signedBy(meta any) []string {
	var got []string
	for _, id := range g.ids {
		only := metadata.Root()
		only.Signed.Keys[id] = g.keys[id]
		only.Signed.Roles[metadata.TARGETS] = &metadata.Role{KeyIDs: []string{id}, Threshold: 1}
		if g.keys[id] != nil && only.VerifyDelegate(metadata.TARGETS, meta) == nil {
			got = append(got, id)
		}
	}
	return got
}

// holds says whether meta has the signatures that the grant wants.
func (g grant) holds(meta any) bool {
	if g.threshold < 1 {
		return false
	}
	whole := metadata.Root()
	whole.Signed.Keys = g.keys
	whole.Signed.Roles[metadata.TARGETS] = &metadata.Role{KeyIDs: g.ids, Threshold: g.threshold}
	return whole.VerifyDelegate(metadata.TARGETS, meta) == nil
}
