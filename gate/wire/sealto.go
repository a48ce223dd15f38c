package wire

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNoSealKey is wrapped where the kiosk's own key, to which central seals,
// is needed and cannot be used.
var ErrNoSealKey = errors.New("the kiosk's own key, to which central seals, cannot be used")

// errNotOurs: sealed to another key, for another purpose, or altered.
var errNotOurs = errors.New("it is not sealed to this key")

// sealTo seals to an X25519 public key (HPKE base mode of RFC 9180: X25519,
// HKDF-SHA256, ChaCha20-Poly1305).
func sealTo(sealKey, info, plain []byte) ([]byte, error) {
	pub, err := ecdh.X25519().NewPublicKey(sealKey)
	if err != nil {
		return nil, err
	}
	to, err := hpke.NewDHKEMPublicKey(pub)
	if err != nil {
		return nil, err
	}
	return hpke.Seal(to, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, plain)
}

// sealSet seals a set of keys or secrets, as JSON, to a kiosk's seal key. info
// binds it to its purpose and kiosk; what names it in errors.
func sealSet(what, kiosk string, sealKey, info []byte, set any) ([]byte, error) {
	plain, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("seal %s for kiosk %s: %w", what, kiosk, err)
	}
	defer clear(plain)
	sealed, err := sealTo(sealKey, info, plain)
	if err != nil {
		return nil, fmt.Errorf("seal %s for kiosk %s: %w", what, kiosk, err)
	}
	return sealed, nil
}

// openSealed opens what sealTo sealed. The caller clears what it gets.
func openSealed(key *ecdh.PrivateKey, info, sealed []byte) ([]byte, error) {
	if key == nil {
		return nil, ErrNoSealKey
	}
	priv, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return nil, err
	}
	plain, err := hpke.Open(priv, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, sealed)
	if err != nil {
		return nil, errNotOurs
	}
	return plain, nil
}
