package chip_test

import (
	"context"
	"crypto"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ec"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// Every PACE there is opens the chip, with either password.
func TestEveryPACE(t *testing.T) {
	w := doc.NewWorld(41)
	person := w.Foreigner(3)
	var all []doc.PACE
	for id := 8; id <= 18; id++ {
		c, ok := ec.ByID(id)
		if !ok {
			continue
		}
		for _, m := range []chip.Mapping{chip.GenericMapping, chip.IntegratedMapping, chip.ChipAuthMapping} {
			if m != chip.IntegratedMapping || c.Name != "P-224" {
				all = append(all, doc.PACE{Cipher: chip.AES128 + chip.Cipher(id%3), Curve: c.Name, Mapping: m})
			}
		}
	}
	for group := range 3 {
		for _, m := range []chip.Mapping{chip.GenericMapping, chip.IntegratedMapping} {
			all = append(all, doc.PACE{Cipher: chip.TripleDES + chip.Cipher(group), Group: group, Mapping: m})
		}
	}
	all = append(all, doc.PACE{Cipher: chip.TripleDES, Curve: "P-256"}, doc.PACE{Cipher: chip.TripleDES, Curve: "P-256", Mapping: chip.IntegratedMapping})
	for i, p := range all {
		d := must[*doc.Document](t)(w.Card(person, doc.PACEOffers(p), doc.ChipAuthWith(), doc.PortraitSize(1500)))
		s, _, access, err := visit(t, d.ChipConfig(), keyOf(d, i%2 == 0))
		if err != nil {
			t.Errorf("%+v: %v", p, err)
			continue
		}
		if raw, err := s.ReadFile(context.Background(), gate.DG(1)); err != nil || len(raw) == 0 {
			t.Errorf("%s: DG1: %v", access.Detail, err)
		}
		if access.ChipMapping != (p.Mapping == chip.ChipAuthMapping) {
			t.Errorf("%s: chip mapping %v", access.Detail, access.ChipMapping)
		}
	}
}

// Wrong passwords are answered as real chips do, and counted where the chip
// counts.
func TestRejectedPasswords(t *testing.T) {
	w := doc.NewWorld(42)
	for name, q := range map[string]chip.Quirks{"6300": {}, "63C2": {RejectStatus: 0x63C2}, "counted": {Tries: 3}} {
		d := must[*doc.Document](t)(w.Card(w.Foreigner(1), doc.PACEWith(chip.AES128, "P-256"), doc.WithQuirks(q)))
		if _, _, _, err := visit(t, d.ChipConfig(), gate.AccessKey{CAN: gate.Secret("000000")}); kindOf(err) != gate.ChipPassword {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Chip authentication by either agreement, with every way to state the key,
// with and without identifier, in one command and in two.
func TestEveryChipAuth(t *testing.T) {
	w := doc.NewWorld(43)
	for name, keys := range map[string][]doc.ChipAuth{
		"ECDH, named":      {{Cipher: chip.AES192, Curve: "P-384", Parameters: doc.NamedCurve}},
		"ECDH, with id":    {{Cipher: chip.AES256, Curve: "brainpoolP512r1", KeyID: 5}},
		"ECDH, 3DES":       {{Cipher: chip.TripleDES, Curve: "P-224", Parameters: doc.StandardizedCurve}},
		"ECDH, KAT only":   {{Cipher: chip.TripleDES, Curve: "P-256", KAT: true}},
		"ECDH, no info":    {{Cipher: chip.TripleDES, Curve: "P-256", KAT: true, NoInfo: true}},
		"several":          {{Cipher: chip.TripleDES, Curve: "P-256", KeyID: 1}, {Cipher: chip.AES256, Curve: "P-384", KeyID: 2}, {Cipher: chip.AES256, Curve: "P-256", KeyID: 3}},
		"DH, X9.42":        {{Cipher: chip.AES128, Group: 1}},
		"DH, PKCS 3":       {{Cipher: chip.TripleDES, Group: 0, Parameters: doc.NamedCurve}},
		"DH, standardized": {{Cipher: chip.AES256, Group: 2, Parameters: doc.StandardizedCurve, KeyID: 9}},
		"DH, KAT only":     {{Cipher: chip.TripleDES, Group: 0, KAT: true, NoInfo: true}},
		"DH beside ECDH":   {{Cipher: chip.AES128, Group: 2, KeyID: 1}, {Cipher: chip.AES128, Curve: "P-256", KeyID: 2}},
		"ECDH of P-521":    {{Cipher: chip.AES256, Curve: "P-521"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := must[*doc.Document](t)(w.Card(w.Foreigner(2), doc.PACEWith(chip.AES128, "P-256"), doc.ChipAuthWith(keys...)))
			s, _, _, err := visit(t, d.ChipConfig(), keyOf(d, true))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.ChipAuthenticate(context.Background(), d.File(chip.FileDG(14))); err != nil {
				t.Fatal(err)
			}
			if _, err := s.ReadFile(context.Background(), gate.DG(1)); err != nil {
				t.Error(err)
			}
		})
	}
}

// A signature longer than 256 bytes comes whole, in extended length and in
// pieces.
func TestLongSignature(t *testing.T) {
	w := doc.NewWorld(44)
	for _, q := range []chip.Quirks{{}, {NoExtended: true}} {
		d := must[*doc.Document](t)(w.Card(w.Foreigner(2), doc.PACEWith(chip.AES128, "P-256"),
			doc.ActiveAuthWith(doc.Algorithm{RSA: 4096, Hash: crypto.SHA512}), doc.WithQuirks(q)))
		s, _, _, err := visit(t, d.ChipConfig(), keyOf(d, true))
		if err != nil {
			t.Fatal(err)
		}
		if sig, err := s.ActiveAuthenticate(context.Background(), make([]byte, 8)); err != nil || len(sig) != 512 {
			t.Errorf("%+v: %d bytes, %v", q, len(sig), err)
		}
	}
}
