package chip_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"testing"
	"time"

	reader "gateagent/drivers/chip"
	"gateagent/gate"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
	"gateagent/sim/vpcd"
)

var _ vpcd.APDUHandler = (*chip.Chip)(nil)

// field hands commands straight to a virtual chip.
type field struct{ c *chip.Chip }

func (f field) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if out := f.c.Process(apdu); out != nil {
		return out, nil
	}
	return nil, gate.ErrCardGone
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func keyOf(d *doc.Document, can bool) gate.AccessKey {
	if can {
		return gate.AccessKey{CAN: gate.Secret(d.CAN())}
	}
	return gate.AccessKey{MRZInfo: gate.Secret(d.MRZInfo())}
}

// visit opens a chip with the reader that ships.
func visit(t testing.TB, cfg chip.Config, key gate.AccessKey) (*reader.Session, *chip.Chip, gate.Access, error) {
	t.Helper()
	c := chip.New(cfg)
	s := reader.New(field{c}, reader.Options{})
	t.Cleanup(func() { s.Close(); c.Close() })
	access, err := s.Open(context.Background(), key)
	return s, c, access, err
}

// readAll reads every file of the application and compares it.
func readAll(t *testing.T, s *reader.Session, d *doc.Document) {
	t.Helper()
	for _, f := range []gate.File{gate.FileCOM, gate.FileSOD, gate.DG(1), gate.DG(2), gate.DG(11), gate.DG(12), gate.DG(13), gate.DG(14), gate.DG(15)} {
		id := map[gate.File]uint16{gate.FileCOM: chip.FileCOM, gate.FileSOD: chip.FileSOD}[f]
		if n, ok := f.DGNumber(); ok {
			id = chip.FileDG(n)
		}
		want := d.File(id)
		got, err := s.ReadFile(context.Background(), f)
		if want == nil {
			if kindOf(err) != gate.ChipMissing {
				t.Errorf("%v: %v, but the chip has none", f, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: %d of %d bytes: %v", f, len(got), len(want), err)
		}
	}
}

func kindOf(err error) gate.ChipErrorKind {
	var e *gate.ChipError
	if errors.As(err, &e) {
		return e.Kind
	}
	return 255
}

func TestVietnamCard(t *testing.T) {
	w := doc.NewWorld(21)
	d := must[*doc.Document](t)(w.VietnamID(w.Citizen(1)))
	s, c, access, err := visit(t, d.ChipConfig(), keyOf(d, true))
	if err != nil {
		t.Fatal(err)
	}
	if access.Protocol != gate.CheckPACE || !bytes.Equal(access.CardAccess, d.CardAccess()) {
		t.Errorf("access %+v", access)
	}
	readAll(t, s, d)
	if _, err := s.ReadFile(context.Background(), gate.DG(3)); kindOf(err) != gate.ChipDenied {
		t.Errorf("DG3: %v", err)
	}
	if _, err := s.ChipAuthenticate(context.Background(), d.File(chip.FileDG(14))); err != nil {
		t.Errorf("chip authentication: %v", err)
	}
	readAll(t, s, d)
	if sig, err := s.ActiveAuthenticate(context.Background(), make([]byte, 8)); err != nil || len(sig) != 128 {
		t.Errorf("active authentication: %d bytes, %v", len(sig), err)
	}
	t.Logf("%d commands", c.Commands())
}

func TestWrongPassword(t *testing.T) {
	w := doc.NewWorld(21)
	d := must[*doc.Document](t)(w.VietnamID(w.Citizen(1)))
	_, _, _, err := visit(t, d.ChipConfig(), gate.AccessKey{CAN: gate.Secret("000000")})
	if kindOf(err) != gate.ChipPassword {
		t.Errorf("PACE with a wrong CAN: %v", err)
	}
	p := must[*doc.Document](t)(w.Passport(w.Foreigner(3), doc.OnlyBAC()))
	_, _, _, err = visit(t, p.ChipConfig(), gate.AccessKey{MRZInfo: gate.Secret("L898902C<369080619406236")})
	if kindOf(err) != gate.ChipPassword {
		t.Errorf("BAC with a wrong MRZ: %v", err)
	}
}

// Every cipher and every curve opens, by CAN and by MRZ, and proves the chip.
// All pairs of them are the business of the reader's own tests.
func TestEveryCipherAndCurve(t *testing.T) {
	w := doc.NewWorld(22)
	ciphers := []chip.Cipher{chip.TripleDES, chip.AES128, chip.AES192, chip.AES256}
	for i, curve := range []string{"P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"} {
		cipher := ciphers[i%len(ciphers)]
		t.Run(fmt.Sprintf("cipher %d on %s", cipher, curve), func(t *testing.T) {
			d := must[*doc.Document](t)(w.Card(w.Foreigner(3), doc.PACEWith(cipher, curve), doc.PortraitSize(3000),
				doc.ChipAuthWith(doc.ChipAuth{Cipher: cipher, Curve: curve, KeyID: i % 2, Parameters: doc.Parameters(i % 3)})))
			s, _, access, err := visit(t, d.ChipConfig(), keyOf(d, i%2 == 0))
			if err != nil {
				t.Fatalf("%s: %v", access.Detail, err)
			}
			if detail, err := s.ChipAuthenticate(context.Background(), d.File(chip.FileDG(14))); err != nil {
				t.Fatalf("%s: %v", detail, err)
			}
			readAll(t, s, d)
		})
	}
}

func TestBAC(t *testing.T) {
	w := doc.NewWorld(23)
	keyOnly := doc.ChipAuth{Cipher: chip.TripleDES, Curve: "brainpoolP256r1", NoInfo: true}
	d := must[*doc.Document](t)(w.Passport(w.Foreigner(3), doc.OnlyBAC(), doc.ChipAuthWith(keyOnly),
		doc.ActiveAuthWith(doc.Algorithm{Curve: "brainpoolP256r1", Hash: crypto.SHA256})))
	s, _, access, err := visit(t, d.ChipConfig(), keyOf(d, false))
	if err != nil || access.Protocol != gate.CheckBAC {
		t.Fatalf("%+v: %v", access, err)
	}
	readAll(t, s, d)
	if _, err := s.ChipAuthenticate(context.Background(), d.File(chip.FileDG(14))); err != nil {
		t.Error(err)
	}
	if sig, err := s.ActiveAuthenticate(context.Background(), make([]byte, 8)); err != nil || len(sig) != 64 {
		t.Errorf("%d bytes: %v", len(sig), err)
	}
}

// A chip that offers the same PACE on two curves wants to be told which.
func TestTwoCurves(t *testing.T) {
	w := doc.NewWorld(28)
	d := must[*doc.Document](t)(w.Card(w.Foreigner(3), func(f *doc.Profile) {
		f.PACE = []doc.PACE{{Cipher: chip.AES256, Curve: "P-256"}, {Cipher: chip.AES256, Curve: "brainpoolP384r1"}}
	}))
	s, _, access, err := visit(t, d.ChipConfig(), keyOf(d, true))
	if err != nil {
		t.Fatalf("%s: %v", access.Detail, err)
	}
	readAll(t, s, d)
}

// A cloned chip fails the proof with the first command after it.
func TestClones(t *testing.T) {
	w := doc.NewWorld(24)
	for a, want := range map[doc.Alteration]gate.ChipErrorKind{doc.Clone: gate.ChipNonsense, doc.CloneMute: gate.ChipStatus} {
		d := must[*doc.Document](t)(w.VietnamID(w.Citizen(1), doc.With(a)))
		s, _, _, err := visit(t, d.ChipConfig(), keyOf(d, true))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.ChipAuthenticate(context.Background(), d.File(chip.FileDG(14))); kindOf(err) != want {
			t.Errorf("alteration %b: %v", a, err)
		}
	}
}

// Chips with habits are read all the same, also beyond the 32 KiB where the
// odd instruction takes over.
func TestReaderSurvivesQuirks(t *testing.T) {
	w := doc.NewWorld(25)
	for name, q := range map[string]chip.Quirks{
		"none":              {},
		"no Le on SELECT":   {NoLeOnSelect: true},
		"no extended":       {NoExtended: true},
		"application first": {SelectAppFirst: true},
		"192 bytes, 6700":   {MaxRead: 192, TooLongStatus: 0x6700},
		"200 bytes, 6Cxx":   {MaxRead: 200, TooLongStatus: 0x6C00},
		"plain 6700":        {MaxRead: 1024, TooLongPlain: true},
		"session lost":      {MaxRead: 1024, TooLongLoses: true},
		"no short EF":       {NoShortEF: true},
		"no odd read":       {NoOddRead: true},
	} {
		t.Run(name, func(t *testing.T) {
			q.NoSelectMF = true
			size := 40000
			if q.NoOddRead {
				size = 30000
			}
			d := must[*doc.Document](t)(w.Card(w.Foreigner(3), doc.PACEWith(chip.AES128, "P-256"), doc.WithQuirks(q), doc.PortraitSize(size)))
			s, c, _, err := visit(t, d.ChipConfig(), keyOf(d, true))
			if err != nil {
				t.Fatal(err)
			}
			readAll(t, s, d)
			t.Logf("%d commands", c.Commands())
		})
	}
}

// A card torn out in the middle of DG2.
func TestTornOut(t *testing.T) {
	w := doc.NewWorld(26)
	d := must[*doc.Document](t)(w.VietnamID(w.Citizen(1)))
	cfg := d.ChipConfig()
	var c *chip.Chip
	cfg.Fault = func(index int, _, resp []byte) ([]byte, bool) { return resp, index == 12 }
	c = chip.New(cfg)
	s := reader.New(field{c}, reader.Options{})
	defer s.Close()
	must[gate.Access](t)(s.Open(context.Background(), keyOf(d, true)))
	time.AfterFunc(50*time.Millisecond, c.Close)
	var err error
	for err == nil {
		_, err = s.ReadFile(context.Background(), gate.DG(2))
	}
	if kindOf(err) != gate.ChipGone {
		t.Error(err)
	}
}

// What a typical and a slow chip cost for one visit as the lane does it:
// open, EF.SOD, DG14, chip authentication, DG1, DG2.
func TestModelledVisit(t *testing.T) {
	w := doc.NewWorld(27)
	d := must[*doc.Document](t)(w.VietnamID(w.Citizen(1)))
	for name, m := range map[string]chip.Model{"typical": chip.Typical(), "slow": chip.Slow()} {
		cfg := d.ChipConfig()
		cfg.Model = m
		start := time.Now()
		s, c, _, err := visit(t, cfg, keyOf(d, true))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []gate.File{gate.FileSOD, gate.DG(14)} {
			must[[]byte](t)(s.ReadFile(context.Background(), f))
		}
		must[string](t)(s.ChipAuthenticate(context.Background(), d.File(chip.FileDG(14))))
		for _, f := range []gate.File{gate.DG(1), gate.DG(2)} {
			must[[]byte](t)(s.ReadFile(context.Background(), f))
		}
		took := time.Since(start)
		t.Logf("%s: modelled %v, took %v, %d commands", name, c.Modelled(), took, c.Commands())
		if took < c.Modelled() || c.Modelled() > 2500*time.Millisecond {
			t.Errorf("%s: modelled %v, took %v", name, c.Modelled(), took)
		}
	}
}
