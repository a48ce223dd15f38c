package chip

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ber"
	"gateagent/internal/ec"
	sim "gateagent/sim/chip"
)

// TestChipAuthentication runs every cipher on a few curves, with and without
// key identifiers, after PACE or after BAC.
func TestChipAuthentication(t *testing.T) {
	for cipher := sim.TripleDES; cipher <= sim.AES256; cipher++ {
		for _, id := range []int{8, 12, 13, 17, 18} {
			for i, ref := range []int{0, 1, 300} {
				name, cfg := "PACE", newConfig(paceOn(sim.AES128, 12))
				if (i+id)%2 == 0 {
					name, cfg = "BAC", newConfig()
				}
				t.Run(fmt.Sprintf("%d/%d/%d/%s", cipher, id, ref, name), func(t *testing.T) {
					cfg := withKeys(cfg, keyOn(t, cipher, id, ref))
					s, f, _ := open(t, cfg, byMRZ(), Options{})
					sameFile(t, s, cfg, gate.DG(14), sim.FileDG(14))
					detail, err := s.ChipAuthenticate(context.Background(), cfg.Files[sim.FileDG(14)])
					if err != nil {
						t.Fatal(err)
					}
					if !strings.HasPrefix(detail, "CA-ECDH-") || !strings.HasSuffix(detail, cfg.ChipKeys[0].Curve.Name) {
						t.Errorf("detail %q", detail)
					}
					before := len(f.log)
					sameFile(t, s, cfg, gate.DG(1), sim.FileDG(1))
					if len(f.log) != before {
						t.Error("DG1 was read twice")
					}
					sameFile(t, s, cfg, gate.DG(2), sim.FileDG(2))
				})
			}
		}
	}
}

func TestChipAuthenticationFails(t *testing.T) {
	run := func(change func(*sim.Config)) error {
		cfg := withKeys(newConfig(paceOn(sim.AES128, 13)), keyOn(t, sim.AES128, 13, 0))
		file := cfg.Files[sim.FileDG(14)]
		change(&cfg)
		s, _, _ := open(t, cfg, byCAN(), Options{})
		_, err := s.ChipAuthenticate(context.Background(), file)
		return err
	}
	err := run(func(c *sim.Config) { c.ChipKeys[0] = keyOn(t, sim.AES128, 13, 0) })
	if e := wantError(t, "clone", err, gate.ChipNonsense, gate.CodeProofWrong); e.Step != stepCA {
		t.Errorf("step %q", e.Step)
	}
	wantError(t, "refused", run(func(c *sim.Config) { c.RefuseCA = true }), gate.ChipStatus, gate.CodeProofWithheld)
	wantError(t, "no key", run(func(c *sim.Config) { c.ChipKeys = nil }), gate.ChipStatus, gate.CodeProofWithheld)

	s, _, _ := open(t, newConfig(paceOn(sim.AES128, 13)), byCAN(), Options{})
	_, err = s.ChipAuthenticate(context.Background(), unhex(t, "6E1131 0F300D060804007F0007020202020101"[:4]+"310F300D060804007F0007020202020101"))
	wantError(t, "none", err, gate.ChipNotOffered, gate.CodeProofNotOffered)
	dh := ber.Make(0x6E, ber.Make(ber.Set, ber.Make(ber.Sequence, oid(oidCA, 1, 2), integer(1))))
	_, err = s.ChipAuthenticate(context.Background(), dh)
	wantError(t, "no key", err, gate.ChipAlgorithm, gate.CodeProofAlgorithm)
	_, err = s.ChipAuthenticate(context.Background(), []byte{0x6E, 0x03, 0x31, 0x05, 0x00})
	wantError(t, "malformed", err, gate.ChipAlgorithm, gate.CodeProofAlgorithm)
	// The session of before goes on.
	if _, err := s.ReadFile(context.Background(), gate.DG(1)); err != nil {
		t.Error(err)
	}
}

func TestActiveAuthentication(t *testing.T) {
	for name, quirks := range map[string]sim.Quirks{
		"plain": {}, "partial answers": {AAPart: 100}, "short length only": {NoExtended: true},
	} {
		c, _ := ec.ByName("brainpoolP512r1")
		d, _, _ := c.GenerateKey(rand.Reader)
		cfg := newConfig(paceOn(sim.AES128, 13))
		cfg.Active = sim.ActiveKey{Curve: c, D: d, Hash: 7 /* SHA-512 */}
		cfg.Quirks = quirks
		s, _, _ := open(t, cfg, byCAN(), Options{})
		got, err := s.ActiveAuthenticate(context.Background(), []byte("8 bytes!"))
		if err != nil || len(got) != 128 {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		sameFile(t, s, cfg, gate.DG(1), sim.FileDG(1))
	}
	cfg := newConfig(paceOn(sim.AES128, 13))
	s, _, _ := open(t, cfg, byCAN(), Options{})
	_, err := s.ActiveAuthenticate(context.Background(), make([]byte, 8))
	wantError(t, "refused", err, gate.ChipStatus, gate.CodeProofWithheld)
	if _, err = s.ActiveAuthenticate(context.Background(), make([]byte, 7)); err == nil {
		t.Error("a challenge of seven bytes was sent")
	}
}

// TestLostAfterChipAuthentication: the new access brings chip authentication
// back as well.
func TestLostAfterChipAuthentication(t *testing.T) {
	cfg := withKeys(newConfig(), keyOn(t, sim.AES256, 16, 5))
	cfg.Quirks = sim.Quirks{MaxRead: 223, TooLongLoses: true, TooLongStatus: 0x6700}
	s, _, _ := open(t, cfg, byMRZ(), Options{})
	sameFile(t, s, cfg, gate.DG(1), sim.FileDG(1))
	if _, err := s.ChipAuthenticate(context.Background(), cfg.Files[sim.FileDG(14)]); err != nil {
		t.Fatal(err)
	}
	sameFile(t, s, cfg, gate.DG(2), sim.FileDG(2))
	if s.reads.reopened != 1 || s.sm.suite != suiteAES256 {
		t.Errorf("%d new accesses, %s", s.reads.reopened, s.sm.suite)
	}
}
