package chip

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/sha256"
	"math/big"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ec"
	sim "gateagent/sim/chip"
)

// TestLeadingZero: a shared secret that begins with a zero byte goes into the
// key derivation with its full width. The peer is crypto/ecdh.
func TestLeadingZero(t *testing.T) {
	for name, curve := range map[string]ecdh.Curve{"P-256": ecdh.P256(), "P-521": ecdh.P521()} {
		c, _ := ec.ByName(name)
		key := keyOn(t, sim.AES256, c.ID, 0)
		cfg := withKeys(newConfig(), key)
		public, err := curve.NewPublicKey(c.Marshal(c.BaseMult(key.Private)))
		if err != nil {
			t.Fatal(err)
		}
		ours, secret := shortSecret(t, curve, public)

		f := &field{chip: sim.New(cfg)}
		s := New(f, Options{})
		if _, err := s.Open(context.Background(), byMRZ()); err != nil {
			t.Fatal(err)
		}
		s.opts.Rand = bytes.NewReader(ours)
		if _, err := s.ChipAuthenticate(context.Background(), cfg.Files[sim.FileDG(14)]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := sha256.Sum256(append(bytes.Clone(secret), 0, 0, 0, deriveEnc))
		if !bytes.Equal(s.sm.encKey, want[:]) {
			t.Errorf("%s: another key than the peer's", name)
		}
		sameFile(t, s, cfg, gate.DG(1), sim.FileDG(1))
	}
}

// shortSecret looks for a private key whose secret with public has a leading
// zero byte: one in 256, and one in two on P-521.
func shortSecret(t *testing.T, curve ecdh.Curve, public *ecdh.PublicKey) (private, secret []byte) {
	size := len(public.Bytes()) / 2
	for n := int64(2); n < 10000; n++ {
		b := big.NewInt(n).FillBytes(make([]byte, size))
		k, err := curve.NewPrivateKey(b)
		if err != nil {
			t.Fatal(err)
		}
		if secret, err = k.ECDH(public); err != nil {
			t.Fatal(err)
		}
		if secret[0] == 0 {
			return b, secret
		}
	}
	t.Fatal("no such secret found")
	return nil, nil
}

// TestManyPACE runs PACE on P-521 until secrets with and without a leading
// zero byte have surely occurred (each is one in two).
func TestManyPACE(t *testing.T) {
	for range 12 {
		open(t, newConfig(paceOn(sim.AES256, 18)), byCAN(), Options{})
	}
}
