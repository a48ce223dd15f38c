package chip

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/internal/ber"
	"gateagent/internal/ec"
	sim "gateagent/sim/chip"
)

// Synthetic secrets of the simulated documents.
const (
	testCAN = "501337"
	testMRZ = "D23145890734934071279507122"
)

// field is a simulated chip as a Transmitter.
type field struct {
	chip *sim.Chip
	log  [][]byte
}

func (f *field) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	f.log = append(f.log, bytes.Clone(apdu))
	out := f.chip.Process(apdu)
	if out == nil {
		return nil, gate.ErrCardGone
	}
	return out, nil
}

func oid(arc []byte, last ...byte) []byte { return ber.Make(ber.OID, arc, last) }

func integer(n int) []byte { return ber.Make(ber.Integer, intBytes(n)) }

// cardAccess states the PACE of a simulated chip.
func cardAccess(all []sim.PACE) []byte {
	var infos [][]byte
	for _, p := range all {
		infos = append(infos, ber.Make(ber.Sequence, oid(oidPACE, 2, byte(p.Cipher)), integer(2), integer(p.ID)))
	}
	return ber.Make(ber.Set, infos...)
}

// dg14 states the keys of a simulated chip.
func dg14(keys []sim.ChipKey) []byte {
	var infos [][]byte
	for _, k := range keys {
		var id []byte
		if k.ID > 0 {
			id = integer(k.ID)
		}
		algorithm := ber.Make(ber.Sequence, ber.Make(ber.OID, []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x01, 0x02}), integer(k.Curve.ID))
		public := ber.Make(ber.BitString, []byte{0}, k.Curve.Marshal(k.Curve.BaseMult(k.Private)))
		infos = append(infos,
			ber.Make(ber.Sequence, oid(oidCAKey, 2), ber.Make(ber.Sequence, algorithm, public), id),
			ber.Make(ber.Sequence, oid(oidCA, 2, byte(k.Cipher)), integer(1), id))
	}
	return ber.Make(0x6E, ber.Make(ber.Set, infos...))
}

// content is a file of n bytes of content under tag.
func content(tag uint32, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return ber.Make(tag, b)
}

func newConfig(pace ...sim.PACE) sim.Config {
	cfg := sim.Config{
		CAN: testCAN, MRZInfo: []byte(testMRZ), PACE: pace, BAC: true, MasterFiles: map[uint16][]byte{},
		Files: map[uint16][]byte{
			sim.FileCOM: content(0x60, 20), sim.FileSOD: content(0x77, 2100), sim.FileDG(1): content(0x61, 93), sim.FileDG(2): content(0x75, 15083),
			sim.FileDG(3): content(0x63, 100), sim.FileDG(15): content(0x6F, 270),
		},
		Denied: []uint16{sim.FileDG(3)},
	}
	if len(pace) > 0 {
		cfg.MasterFiles[sim.FileCardAccess] = cardAccess(pace)
	}
	return cfg
}

func paceOn(cipher sim.Cipher, id int) sim.PACE {
	c, _ := ec.ByID(id)
	return sim.PACE{Cipher: cipher, Curve: c, ID: id}
}

func keyOn(t testing.TB, cipher sim.Cipher, id, ref int) sim.ChipKey {
	c, _ := ec.ByID(id)
	d, _, err := c.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return sim.ChipKey{Cipher: cipher, Curve: c, Private: d, ID: ref}
}

func withKeys(cfg sim.Config, keys ...sim.ChipKey) sim.Config {
	cfg.ChipKeys = keys
	cfg.Files[sim.FileDG(14)] = dg14(keys)
	return cfg
}

func byCAN() gate.AccessKey { return gate.AccessKey{CAN: gate.Secret(testCAN)} }
func byMRZ() gate.AccessKey { return gate.AccessKey{MRZInfo: gate.Secret(testMRZ)} }

func open(t *testing.T, cfg sim.Config, key gate.AccessKey, opts Options) (*Session, *field, gate.Access) {
	t.Helper()
	f := &field{chip: sim.New(cfg)}
	s := New(f, opts)
	t.Cleanup(s.Close)
	access, err := s.Open(context.Background(), key)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s, f, access
}

// sameFile reads a file and compares it with what the chip holds.
func sameFile(t *testing.T, s *Session, cfg sim.Config, f gate.File, id uint16) {
	t.Helper()
	got, err := s.ReadFile(context.Background(), f)
	if err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	if !bytes.Equal(got, cfg.Files[id]) {
		t.Fatalf("%s: %d bytes differ from the chip's %d", f, len(got), len(cfg.Files[id]))
	}
}

func wantError(t *testing.T, what string, err error, kind gate.ChipErrorKind, code gate.Code) *gate.ChipError {
	t.Helper()
	var e *gate.ChipError
	if !errors.As(err, &e) {
		t.Fatalf("%s: %v, want a chip error", what, err)
	}
	if e.Kind != kind || e.Code != code {
		t.Fatalf("%s: kind %d code %d (%v), want kind %d code %d", what, e.Kind, e.Code, e, kind, code)
	}
	return e
}

// TestPACE opens a chip with every curve, cipher and kind of password and
// reads a file.
func TestPACE(t *testing.T) {
	names := map[sim.Cipher]string{sim.TripleDES: "3DES-CBC-CBC", sim.AES128: "AES-CBC-CMAC-128", sim.AES192: "AES-CBC-CMAC-192", sim.AES256: "AES-CBC-CMAC-256"}
	for id := 8; id <= 18; id++ {
		for cipher := sim.TripleDES; cipher <= sim.AES256; cipher++ {
			for name, key := range map[string]gate.AccessKey{"CAN": byCAN(), "MRZ": byMRZ()} {
				p := paceOn(cipher, id)
				t.Run(fmt.Sprintf("%s/%s/%s", p.Curve.Name, names[cipher], name), func(t *testing.T) {
					cfg := newConfig(p)
					s, _, access := open(t, cfg, key, Options{})
					if want := fmt.Sprintf("PACE-ECDH-GM-%s %s %s", names[cipher], p.Curve.Name, name); access.Protocol != gate.CheckPACE || access.Detail != want {
						t.Errorf("%s %q, want %q", access.Protocol, access.Detail, want)
					}
					if !bytes.Equal(access.CardAccess, cfg.MasterFiles[sim.FileCardAccess]) {
						t.Error("EF.CardAccess differs")
					}
					sameFile(t, s, cfg, gate.FileSOD, sim.FileSOD)
				})
			}
		}
	}
}

func TestBAC(t *testing.T) {
	cfg := newConfig()
	s, _, access := open(t, cfg, byMRZ(), Options{})
	if access.Protocol != gate.CheckBAC || access.CardAccess != nil {
		t.Errorf("%+v", access)
	}
	sameFile(t, s, cfg, gate.FileSOD, sim.FileSOD)
	sameFile(t, s, cfg, gate.DG(2), sim.FileDG(2))

	// EF.CardAccess that offers no PACE at all.
	cfg.MasterFiles[sim.FileCardAccess] = unhex(t, "310F300D060804007F0007020202020101")
	if _, _, access = open(t, cfg, byMRZ(), Options{}); access.Protocol != gate.CheckBAC || access.CardAccess == nil {
		t.Errorf("%+v", access)
	}
}

// TestChipAuthentication runs every cipher on a few curves, with and without
// key identifiers, after PACE and after BAC.
func TestChipAuthentication(t *testing.T) {
	for cipher := sim.TripleDES; cipher <= sim.AES256; cipher++ {
		for _, id := range []int{8, 12, 13, 17, 18} {
			for _, ref := range []int{0, 1, 300} {
				for name, cfg := range map[string]sim.Config{"PACE": newConfig(paceOn(sim.AES128, 12)), "BAC": newConfig()} {
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
	wantError(t, "Diffie-Hellman only", err, gate.ChipAlgorithm, gate.CodeProofAlgorithm)
	_, err = s.ChipAuthenticate(context.Background(), []byte{0x6E, 0x03, 0x31, 0x05, 0x00})
	wantError(t, "malformed", err, gate.ChipAlgorithm, gate.CodeProofAlgorithm)
	// The session of before goes on.
	if _, err := s.ReadFile(context.Background(), gate.DG(1)); err != nil {
		t.Error(err)
	}
}

// TestStrongest: of several ways the strongest that we know, named by its
// number where the chip needs that.
func TestStrongest(t *testing.T) {
	for want, all := range map[string][]sim.PACE{
		"AES-CBC-CMAC-256 brainpoolP512r1": {paceOn(sim.AES128, 13), paceOn(sim.AES256, 17), paceOn(sim.AES256, 13), paceOn(sim.TripleDES, 12)},
		"AES-CBC-CMAC-128 P-256":           {paceOn(sim.TripleDES, 12), paceOn(sim.AES128, 12)},
		"AES-CBC-CMAC-128 P-384":           {paceOn(sim.AES128, 8), paceOn(sim.AES128, 15)},
	} {
		cfg := newConfig(all...)
		s, _, access := open(t, cfg, byCAN(), Options{})
		if access.Detail != "PACE-ECDH-GM-"+want+" CAN" {
			t.Errorf("%q, want %q", access.Detail, want)
		}
		sameFile(t, s, cfg, gate.DG(1), sim.FileDG(1))
	}
}

func TestAccessFails(t *testing.T) {
	try := func(cfg sim.Config, key gate.AccessKey) (*field, gate.Access, error) {
		f := &field{chip: sim.New(cfg)}
		access, err := New(f, Options{}).Open(context.Background(), key)
		return f, access, err
	}
	pace := newConfig(paceOn(sim.AES128, 13))

	f, access, err := try(pace, gate.AccessKey{CAN: gate.Secret("000000")})
	wantError(t, "wrong CAN", err, gate.ChipPassword, gate.CodePasswordRejected)
	if access.Protocol != gate.CheckPACE || access.Detail == "" || access.CardAccess == nil {
		t.Errorf("%+v", access)
	}
	for _, apdu := range f.log {
		if apdu[1] == insGetChallenge || apdu[1] == insExternalAuth {
			t.Error("BAC after a failed PACE")
		}
	}
	_, _, err = try(pace, gate.AccessKey{MRZInfo: gate.Secret("L898902C<369080619406236")})
	wantError(t, "wrong MRZ", err, gate.ChipPassword, gate.CodePasswordRejected)
	_, access, err = try(newConfig(), gate.AccessKey{MRZInfo: gate.Secret("L898902C<369080619406236")})
	wantError(t, "wrong MRZ with BAC", err, gate.ChipPassword, gate.CodePasswordRejected)
	if access.Protocol != gate.CheckBAC {
		t.Errorf("%+v", access)
	}
	f, _, err = try(pace, gate.AccessKey{})
	wantError(t, "no key", err, gate.ChipUnsupported, gate.CodeNoKey)
	if len(f.log) != 0 {
		t.Error("sent something without a key")
	}
	_, _, err = try(newConfig(), byCAN())
	wantError(t, "CAN for BAC", err, gate.ChipUnsupported, gate.CodeNoProtocol)

	noCAN := newConfig(paceOn(sim.AES128, 13))
	noCAN.CAN = ""
	_, _, err = try(noCAN, byCAN())
	wantError(t, "chip without CAN", err, gate.ChipUnsupported, gate.CodeNoProtocol)

	for what, info := range map[string]string{
		"integrated mapping P-224": "3012060A04007F0007020204040202010202010A",
		"Diffie-Hellman":           "3012060A04007F00070202040102020102020100",
		"unknown curve":            "3012060A04007F00070202040202020102020120",
		"first version":            "3012060A04007F0007020204020202010102010D",
		"curve of the chip's own":  "300F060A04007F00070202040202020102",
		"cipher from another time": "3012060A04007F0007020204020902010202010D",
	} {
		cfg := newConfig()
		cfg.MasterFiles[sim.FileCardAccess] = ber.Make(ber.Set, unhex(t, info))
		_, access, err := try(cfg, byMRZ())
		wantError(t, what, err, gate.ChipUnsupported, gate.CodeNoProtocol)
		if access.CardAccess == nil {
			t.Errorf("%s: EF.CardAccess is not handed on", what)
		}
	}

	other := newConfig(paceOn(sim.AES128, 13))
	other.AID = []byte{0xA0, 0, 0, 0, 4, 0x10, 0x10}
	_, _, err = try(other, byCAN())
	wantError(t, "no application under PACE", err, gate.ChipUnsupported, gate.CodeNoApplication)
	other = newConfig()
	other.AID = []byte{0xA0, 0, 0, 0, 4, 0x10, 0x10}
	_, _, err = try(other, byMRZ())
	wantError(t, "no application", err, gate.ChipUnsupported, gate.CodeNoApplication)
}

func TestDowngradeOnSecondTry(t *testing.T) {
	cfg := newConfig(paceOn(sim.AES128, 13))
	f := &field{chip: sim.New(cfg)}
	s := New(f, Options{})
	_, err := s.Open(context.Background(), gate.AccessKey{MRZInfo: gate.Secret("L898902C<369080619406236")})
	wantError(t, "wrong MRZ", err, gate.ChipPassword, gate.CodePasswordRejected)
	delete(cfg.MasterFiles, sim.FileCardAccess)
	_, err = s.Open(context.Background(), byMRZ())
	wantError(t, "hidden PACE", err, gate.ChipNonsense, gate.CodeDowngrade)
}

func TestFileStatus(t *testing.T) {
	cfg := newConfig(paceOn(sim.AES128, 13))
	for name, quirks := range map[string]sim.Quirks{"plain": {}, "no short identifiers": {NoShortEF: true}} {
		cfg.Quirks = quirks
		s, _, _ := open(t, cfg, byCAN(), Options{})
		_, err := s.ReadFile(context.Background(), gate.DG(3))
		wantError(t, name+": locked", err, gate.ChipDenied, gate.CodeFileDenied)
		_, err = s.ReadFile(context.Background(), gate.DG(14))
		wantError(t, name+": absent", err, gate.ChipMissing, gate.CodeFileMissing)
		_, err = s.ReadFile(context.Background(), gate.FileNone)
		wantError(t, name+": undefined", err, gate.ChipMissing, gate.CodeFileMissing)
		sameFile(t, s, cfg, gate.DG(1), sim.FileDG(1))
	}
}

// TestMasterFiles: EF.CardSecurity and EF.ATR/INFO lie under the master file;
// the application's files are found again afterwards.
func TestMasterFiles(t *testing.T) {
	cfg := newConfig(paceOn(sim.AES128, 13))
	cfg.MasterFiles[sim.FileCardSecurity] = content(0x30, 900)
	cfg.MasterFiles[sim.FileATRInfo] = unhex(t, "7F6608020240000202400047010343010F")
	s, _, _ := open(t, cfg, byCAN(), Options{})
	sameFile(t, s, cfg, gate.DG(1), sim.FileDG(1))
	for f, id := range map[gate.File]uint16{gate.FileCardSecurity: sim.FileCardSecurity, gate.FileATRInfo: sim.FileATRInfo, gate.FileCardAccess: sim.FileCardAccess} {
		got, err := s.ReadFile(context.Background(), f)
		if err != nil || !bytes.Equal(got, cfg.MasterFiles[id]) {
			t.Errorf("%s: %d bytes, %v", f, len(got), err)
		}
	}
	sameFile(t, s, cfg, gate.FileSOD, sim.FileSOD)
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

// TestQuirks reads everything from chips with habits.
func TestQuirks(t *testing.T) {
	for name, q := range map[string]sim.Quirks{
		"none":                           {},
		"no master file":                 {NoSelectMF: true},
		"no Le on select":                {NoLeOnSelect: true},
		"short length":                   {NoExtended: true},
		"application first":              {SelectAppFirst: true},
		"application first, no MF":       {SelectAppFirst: true, NoSelectMF: true},
		"few bytes":                      {MaxRead: 192},
		"few bytes or 6700":              {MaxRead: 192, TooLongStatus: 0x6700},
		"few bytes or 6Cxx":              {MaxRead: 192, TooLongStatus: 0x6C00},
		"kilobyte or 6700":               {MaxRead: 1024, TooLongStatus: 0x6700},
		"few bytes or plain 6700":        {MaxRead: 192, TooLongPlain: true, TooLongStatus: 0x6700},
		"few bytes, refused and lost":    {MaxRead: 223, TooLongLoses: true, TooLongStatus: 0x6700},
		"no short identifiers":           {NoShortEF: true},
		"no short identifiers, 64 bytes": {NoShortEF: true, MaxRead: 64, TooLongStatus: 0x6700},
	} {
		for access, cfg := range map[string]sim.Config{"PACE": newConfig(paceOn(sim.AES128, 13)), "BAC": newConfig()} {
			t.Run(name+"/"+access, func(t *testing.T) {
				cfg := withKeys(cfg, keyOn(t, sim.AES128, 13, 0))
				cfg.Quirks = q
				s, _, _ := open(t, cfg, byMRZ(), Options{})
				sameFile(t, s, cfg, gate.FileSOD, sim.FileSOD)
				sameFile(t, s, cfg, gate.DG(14), sim.FileDG(14))
				if _, err := s.ChipAuthenticate(context.Background(), cfg.Files[sim.FileDG(14)]); err != nil {
					t.Fatal(err)
				}
				sameFile(t, s, cfg, gate.DG(1), sim.FileDG(1))
				sameFile(t, s, cfg, gate.DG(2), sim.FileDG(2))
				sameFile(t, s, cfg, gate.DG(15), sim.FileDG(15))
			})
		}
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

// TestLargeFile crosses 32 KiB, where READ BINARY takes its odd form.
func TestLargeFile(t *testing.T) {
	for name, q := range map[string]sim.Quirks{"extended": {}, "short": {NoExtended: true}} {
		cfg := newConfig(paceOn(sim.AES128, 13))
		cfg.Quirks = q
		for _, n := range []int{32757, 32764, 32767, 32768, 65530, 65600, 100000} {
			cfg.Files[sim.FileDG(2)] = content(0x75, n)
			s, _, _ := open(t, cfg, byCAN(), Options{})
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) { sameFile(t, s, cfg, gate.DG(2), sim.FileDG(2)) })
		}
	}
}

func TestTooLarge(t *testing.T) {
	cfg := newConfig(paceOn(sim.AES128, 13))
	cfg.Files[sim.FileSOD] = unhex(t, "7783100000")
	cfg.Files[sim.FileDG(2)] = unhex(t, "758440000000")
	s, f, _ := open(t, cfg, byCAN(), Options{})
	before := len(f.log)
	for _, file := range []gate.File{gate.FileSOD, gate.DG(2)} {
		_, err := s.ReadFile(context.Background(), file)
		wantError(t, file.String(), err, gate.ChipNonsense, gate.CodeTooLarge)
	}
	if n := len(f.log) - before; n > 4 {
		t.Errorf("%d commands for two absurd headers", n)
	}
}

// TestCommands counts what a read costs: the chip is the floor, and every
// needless command adds to it.
func TestCommands(t *testing.T) {
	cfg := withKeys(newConfig(paceOn(sim.AES128, 13)), keyOn(t, sim.AES128, 13, 0))
	s, f, _ := open(t, cfg, byCAN(), Options{})
	if n := len(f.log); n != 8 {
		t.Errorf("%d commands to open, want 8: select, read, MSE, 4 steps, select", n)
	}
	for _, file := range []gate.File{gate.FileSOD, gate.DG(14)} {
		before := len(f.log)
		if _, err := s.ReadFile(context.Background(), file); err != nil {
			t.Fatal(err)
		}
		if n := len(f.log) - before; n != 1 {
			t.Errorf("%s: %d commands, want 1", file, n)
		}
	}
	before := len(f.log)
	if _, err := s.ChipAuthenticate(context.Background(), cfg.Files[sim.FileDG(14)]); err != nil {
		t.Fatal(err)
	}
	sameFile(t, s, cfg, gate.DG(1), sim.FileDG(1))
	sameFile(t, s, cfg, gate.DG(2), sim.FileDG(2))
	if n := len(f.log) - before; n != 3+4 {
		t.Errorf("%d commands for chip authentication, DG1 and DG2, want 7", n)
	}
	stats := s.Stats()
	if stats.APDUs != len(f.log) || stats.BytesIn < 17000 || stats.BytesOut < 500 {
		t.Errorf("%+v", stats)
	}
}

func TestClose(t *testing.T) {
	cfg := newConfig(paceOn(sim.AES128, 13))
	s, _, _ := open(t, cfg, byCAN(), Options{})
	sm, key := s.sm, s.key
	s.Close()
	for _, b := range [][]byte{sm.encKey, sm.macKey, sm.ssc, key.CAN} {
		if !bytes.Equal(b, make([]byte, len(b))) {
			t.Error("a key is left")
		}
	}
	_, err := s.ReadFile(context.Background(), gate.DG(1))
	wantError(t, "closed", err, gate.ChipNonsense, gate.CodeSecureMessaging)
}

func TestDeviceErrors(t *testing.T) {
	for what, c := range map[string]struct {
		err  error
		kind gate.ChipErrorKind
		code gate.Code
	}{
		"gone":     {fmt.Errorf("pcsc: %w", gate.ErrCardGone), gate.ChipGone, gate.CodeChipGone},
		"reader":   {fmt.Errorf("pcsc: %w", gate.ErrReaderFault), gate.ChipDevice, gate.CodeReaderFault},
		"deadline": {context.DeadlineExceeded, gate.ChipDeadline, gate.CodeDeadline},
		"other":    {errors.New("odd"), gate.ChipDevice, gate.CodeReaderFault},
	} {
		cfg := newConfig(paceOn(sim.AES128, 13))
		for at := range 10 {
			f := &field{chip: sim.New(cfg)}
			n := 0
			s := New(transmitFunc(func(ctx context.Context, apdu []byte) ([]byte, error) {
				if n++; n > at {
					return nil, c.err
				}
				return f.Transmit(ctx, apdu)
			}), Options{})
			_, err := s.Open(context.Background(), byCAN())
			if err == nil {
				_, err = s.ReadFile(context.Background(), gate.FileSOD)
			}
			if err == nil {
				_, err = s.ReadFile(context.Background(), gate.DG(1))
			}
			e := wantError(t, what, err, c.kind, c.code)
			if !errors.Is(e, c.err) {
				t.Errorf("%s: %v hides its cause", what, e)
			}
			sent := n
			_, err = s.ReadFile(context.Background(), gate.DG(1))
			if err == nil || n != sent {
				t.Errorf("%s at %d: the session goes on", what, at)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), -time.Second)
	defer cancel()
	_, err := New(&field{chip: sim.New(newConfig())}, Options{}).Open(ctx, byMRZ())
	wantError(t, "late", err, gate.ChipDeadline, gate.CodeDeadline)
}
