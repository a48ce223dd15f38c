package keys

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/ThalesGroup/crypto11"
)

// tokenScheme begins a PKCS#11 URI (RFC 7512, section 2.1).
const tokenScheme = "pkcs11:"

// IsToken says whether a reference names a key in a token.
func IsToken(ref string) bool { return strings.HasPrefix(ref, tokenScheme) }

// tokenRef is what we use of a PKCS#11 URI.
type tokenRef struct{ token, object, module string }

// parseToken reads pkcs11:token=LABEL;object=LABEL?module-path=FILE. A PIN in
// it is refused: URIs stand in process lists and shell histories.
func parseToken(ref string) (tokenRef, error) {
	var t tokenRef
	path, query, _ := strings.Cut(strings.TrimPrefix(ref, tokenScheme), "?")
	fields := append(strings.Split(path, ";"), strings.Split(query, "&")...)
	for _, f := range fields {
		name, raw, _ := strings.Cut(f, "=")
		value, err := url.PathUnescape(raw)
		if err != nil {
			return t, fmt.Errorf("PKCS#11 URI: %s: %w", name, err)
		}
		switch name {
		case "":
		case "token":
			t.token = value
		case "object":
			t.object = value
		case "module-path":
			t.module = value
		case "type", "manufacturer", "model", "serial", "library-manufacturer", "library-description", "library-version":
			// describe the token that its label names already
		case "pin-value", "pin-source":
			return t, fmt.Errorf("PKCS#11 URI: no %s in it: the PIN is asked for, or read from --passphrase-file", name)
		default:
			return t, fmt.Errorf("PKCS#11 URI: unknown part %q", name)
		}
	}
	if t.token == "" || t.module == "" {
		return t, errors.New("PKCS#11 URI: want pkcs11:token=LABEL;object=LABEL?module-path=LIBRARY")
	}
	return t, nil
}

func (t tokenRef) open(ask Ask) (*crypto11.Context, error) {
	pin, err := ask("PIN of token " + t.token)
	if err != nil {
		return nil, fmt.Errorf("token %s: %w", t.token, err)
	}
	defer clear(pin)
	c, err := crypto11.Configure(&crypto11.Config{Path: t.module, TokenLabel: t.token, Pin: string(pin)})
	if err != nil {
		return nil, fmt.Errorf("token %s in %s: %w", t.token, t.module, err)
	}
	return c, nil
}

// openToken finds a key by its label.
func openToken(ref string, ask Ask) (*Key, error) {
	t, err := parseToken(ref)
	if err != nil {
		return nil, err
	}
	if t.object == "" {
		return nil, errors.New("PKCS#11 URI: it names no object: add object=LABEL")
	}
	c, err := t.open(ask)
	if err != nil {
		return nil, err
	}
	found, err := c.FindKeyPairs(nil, []byte(t.object))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d keys of that name are there, want one; gatectl key new makes it", len(found))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("key %s in token %s: %w", t.object, t.token, err), c.Close())
	}
	return &Key{Signer: found[0], close: c.Close}, nil
}

// CreateInToken makes an ECDSA key in a token, on P-256 or P-384: Ed25519 is
// missing in many tokens, and in the library that speaks to them.
func CreateInToken(ref string, curve elliptic.Curve, ask Ask) (crypto.PublicKey, error) {
	if curve != elliptic.P256() && curve != elliptic.P384() {
		return nil, errors.New("keys in tokens are on P-256 or P-384")
	}
	t, err := parseToken(ref)
	if err != nil {
		return nil, err
	}
	if t.object == "" {
		return nil, errors.New("PKCS#11 URI: it names no object: add object=LABEL")
	}
	c, err := t.open(ask)
	if err != nil {
		return nil, err
	}
	pub, err := t.create(c, curve)
	return pub, errors.Join(err, c.Close())
}

func (t tokenRef) create(c *crypto11.Context, curve elliptic.Curve) (crypto.PublicKey, error) {
	there, err := c.FindKeyPairs(nil, []byte(t.object))
	if err != nil {
		return nil, fmt.Errorf("token %s: %w", t.token, err)
	}
	if len(there) > 0 {
		return nil, fmt.Errorf("token %s has a key %s already, which is not replaced: take another name", t.token, t.object)
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails (crypto/rand)
	k, err := c.GenerateECDSAKeyPairWithLabel(id, []byte(t.object), curve)
	if err != nil {
		return nil, fmt.Errorf("make key %s in token %s: %w", t.object, t.token, err)
	}
	return k.Public(), nil
}

// ListToken gives the labels of the keys in a token.
func ListToken(ref string, ask Ask) (_ []string, err error) {
	t, err := parseToken(ref)
	if err != nil {
		return nil, err
	}
	c, err := t.open(ask)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	pairs, err := c.FindAllKeyPairs()
	if err != nil {
		return nil, fmt.Errorf("token %s: %w", t.token, err)
	}
	var labels []string
	for _, p := range pairs {
		label, err := c.GetAttribute(p, crypto11.CkaLabel)
		if err != nil {
			return nil, fmt.Errorf("token %s: %w", t.token, err)
		}
		labels = append(labels, string(label.Value))
	}
	return labels, nil
}
