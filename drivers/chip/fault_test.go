package chip

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"gateagent/gate"
	sim "gateagent/sim/chip"
)

// transaction is what the lane does: it gives the files it got.
func transaction(s *Session, file14 []byte) (map[gate.File][]byte, error) {
	ctx := context.Background()
	if _, err := s.Open(ctx, byMRZ()); err != nil {
		return nil, err
	}
	got := map[gate.File][]byte{}
	read := func(f gate.File) (err error) {
		got[f], err = s.ReadFile(ctx, f)
		if err != nil {
			delete(got, f)
		}
		return err
	}
	for _, f := range []gate.File{gate.FileSOD, gate.DG(14)} {
		if err := read(f); err != nil {
			return got, err
		}
	}
	if _, err := s.ChipAuthenticate(ctx, file14); err != nil {
		return got, err
	}
	for _, f := range []gate.File{gate.DG(1), gate.DG(2)} {
		if err := read(f); err != nil {
			return got, err
		}
	}
	return got, nil
}

// maxCommands bounds a transaction with the chips of these tests, whatever
// they do.
const maxCommands = 3000

// counted ends a conversation that goes on for too long.
func counted(t testing.TB, next gate.Transmitter) gate.Transmitter {
	n := 0
	return transmitFunc(func(ctx context.Context, apdu []byte) ([]byte, error) {
		if n++; n > maxCommands {
			t.Fatalf("more than %d commands", maxCommands)
		}
		return next.Transmit(ctx, apdu)
	})
}

// chipErrors: every error is a *gate.ChipError of a sensible kind.
func chipErrors(t testing.TB, what string, err error) {
	t.Helper()
	var e *gate.ChipError
	if !errors.As(err, &e) {
		t.Fatalf("%s: %v is no chip error", what, err)
	}
	if e.Step == "" || e.Code == 0 {
		t.Fatalf("%s: %+v", what, e)
	}
}

// TestEveryAnswerDamaged changes one byte of each answer of a transaction in
// turn. Under secure messaging that must be noticed; nowhere may wrong bytes
// be handed on.
func TestEveryAnswerDamaged(t *testing.T) {
	for name, cfg := range map[string]sim.Config{"PACE": newConfig(paceOn(sim.AES128, 12)), "BAC": newConfig()} {
		cfg := withKeys(cfg, keyOn(t, sim.AES128, 12, 0))
		good := &field{chip: sim.New(cfg)}
		if _, err := transaction(New(good, Options{}), cfg.Files[sim.FileDG(14)]); err != nil {
			t.Fatal(err)
		}
		for at := range good.log {
			for _, where := range []string{"first", "middle", "last data", "status"} {
				t.Run(fmt.Sprintf("%s/%d/%s", name, at, where), func(t *testing.T) {
					damaged := cfg
					damaged.Fault = func(index int, apdu, resp []byte) ([]byte, bool) {
						if index == at {
							resp = damage(resp, where)
						}
						return resp, false
					}
					protected := good.log[at][0]&claSecure == claSecure
					got, err := transaction(New(counted(t, &field{chip: sim.New(damaged)}), Options{}), cfg.Files[sim.FileDG(14)])
					if err != nil {
						chipErrors(t, "damaged", err)
					} else if protected && where != "status" {
						t.Error("a damaged protected answer was taken")
					}
					checkFiles(t, cfg, got)
				})
			}
		}
	}
}

func damage(resp []byte, where string) []byte {
	resp = bytes.Clone(resp)
	n := len(resp)
	switch {
	case where == "status" || n == 2:
		resp[n-2] ^= 0x0F
	case where == "first":
		resp[0] ^= 0x01
	case where == "middle":
		resp[n/2] ^= 0x10
	default:
		resp[n-3] ^= 0x80
	}
	return resp
}

func checkFiles(t *testing.T, cfg sim.Config, got map[gate.File][]byte) {
	t.Helper()
	for f, b := range got {
		id := uint16(sim.FileSOD)
		if n, ok := f.DGNumber(); ok {
			id = sim.FileDG(n)
		}
		if !bytes.Equal(b, cfg.Files[id]) {
			t.Errorf("%s: wrong bytes were handed on", f)
		}
	}
}

// TestWrongMAC damages the MAC of every protected answer: secure messaging
// broke, except directly after chip authentication, where it is the proof
// that is wrong.
func TestWrongMAC(t *testing.T) {
	cfg := withKeys(newConfig(paceOn(sim.AES128, 12)), keyOn(t, sim.AES128, 12, 0))
	good := &field{chip: sim.New(cfg)}
	if _, err := transaction(New(good, Options{}), cfg.Files[sim.FileDG(14)]); err != nil {
		t.Fatal(err)
	}
	authenticated := false
	for at, apdu := range good.log {
		proof := authenticated
		authenticated = apdu[0] == claSecure && apdu[1] == insGeneralAuthenticate
		if apdu[0]&claSecure != claSecure {
			continue
		}
		bad := cfg
		bad.Fault = func(index int, _, resp []byte) ([]byte, bool) {
			if index == at {
				resp = damage(resp, "last data")
			}
			return resp, false
		}
		s := New(&field{chip: sim.New(bad)}, Options{})
		_, err := transaction(s, cfg.Files[sim.FileDG(14)])
		code := gate.CodeSecureMessaging
		if proof {
			code = gate.CodeProofWrong
		}
		wantError(t, fmt.Sprintf("command %d", at), err, gate.ChipNonsense, code)
		_, err = s.ReadFile(context.Background(), gate.DG(1))
		wantError(t, "afterwards", err, gate.ChipNonsense, code)
	}
}

// TestAccessAnswers: what is not a valid message ends access as nonsense, a
// status that rejects the password as such.
func TestAccessAnswers(t *testing.T) {
	pace := []byte{insReadBinary, insMSE, insGeneralAuthenticate, insGeneralAuthenticate, insGeneralAuthenticate, insGeneralAuthenticate}
	last := len(pace) - 1
	for what, c := range map[string]struct {
		bac    bool
		at     int
		answer string
		kind   gate.ChipErrorKind
		code   gate.Code
	}{
		"rejected":             {false, last, "6300", gate.ChipPassword, gate.CodePasswordRejected},
		"rejected, tries left": {false, last, "63C2", gate.ChipPassword, gate.CodePasswordRejected},
		"other status":         {false, last, "6982", gate.ChipNonsense, gate.CodeChipStatus},
		"6300 too early":       {false, last - 1, "6300", gate.ChipNonsense, gate.CodeChipStatus},
		"refused MSE":          {false, 1, "6A80", gate.ChipNonsense, gate.CodeChipStatus},
		"wrong token":          {false, last, "7C0A860800112233445566779000", gate.ChipNonsense, gate.CodeWrongToken},
		"short token":          {false, last, "7C028600" + "9000", gate.ChipNonsense, gate.CodeWrongToken},
		"no token":             {false, last, "9000", gate.ChipNonsense, gate.CodeChipNonsense},
		"surplus":              {false, last, "7C0D86080011223344556677990100" + "9000", gate.ChipNonsense, gate.CodeChipNonsense},
		"short nonce":          {false, 2, "7C06800400112233" + "9000", gate.ChipNonsense, gate.CodeChipNonsense},
		"infinity":             {false, 3, "7C03820100" + "9000", gate.ChipNonsense, gate.CodeChipNonsense},
		"BAC rejected":         {true, 1, "6300", gate.ChipPassword, gate.CodePasswordRejected},
		"BAC other status":     {true, 1, "6982", gate.ChipNonsense, gate.CodeChipStatus},
		"BAC short challenge":  {true, 0, "001122334455669000", gate.ChipNonsense, gate.CodeChipNonsense},
		"BAC short answer":     {true, 1, "9000", gate.ChipNonsense, gate.CodeChipNonsense},
		"BAC wrong answer":     {true, 1, "00112233445566770011223344556677001122334455667700112233445566770011223344556677" + "9000", gate.ChipNonsense, gate.CodeWrongToken},
	} {
		cfg := newConfig(paceOn(sim.AES128, 12))
		if c.bac {
			cfg = newConfig()
		}
		seen := -1
		cfg.Fault = func(index int, apdu, resp []byte) ([]byte, bool) {
			if c.bac && (apdu[1] == insGetChallenge || apdu[1] == insExternalAuth) || !c.bac && seen+1 < len(pace) && apdu[1] == pace[seen+1] {
				if seen++; seen == c.at {
					return unhex(t, c.answer), false
				}
			}
			if what == "refused MSE" && apdu[1] == insMSE {
				return unhex(t, c.answer), false
			}
			return resp, false
		}
		_, err := New(&field{chip: sim.New(cfg)}, Options{}).Open(context.Background(), byMRZ())
		wantError(t, what, err, c.kind, c.code)
	}
}

// TestOwnKeyBack: a chip that mirrors our public key knows no password.
func TestOwnKeyBack(t *testing.T) {
	for tag, step := range map[byte]string{0x81: "mapping", 0x83: "agreement"} {
		cfg := newConfig(paceOn(sim.AES128, 12))
		cfg.Fault = func(_ int, apdu, resp []byte) ([]byte, bool) {
			if apdu[1] == insGeneralAuthenticate && len(apdu) > 40 && apdu[7] == tag {
				resp = append(bytes.Clone(apdu[5:len(apdu)-1]), 0x90, 0x00)
				resp[2]++
			}
			return resp, false
		}
		_, err := New(&field{chip: sim.New(cfg)}, Options{}).Open(context.Background(), byMRZ())
		wantError(t, step, err, gate.ChipNonsense, gate.CodeChipNonsense)
	}
}

// TestStubbornChips answer every command alike.
func TestStubbornChips(t *testing.T) {
	for what, answer := range map[string][]byte{
		"nothing": {}, "one byte": {0x90}, "success without data": {0x90, 0}, "endless 61": {0x61, 0}, "endless 61 with data": {1, 2, 3, 0x61, 8},
		"endless 6C": {0x6C, 4}, "6C00": {0x6C, 0}, "6700": {0x67, 0}, "6982": {0x69, 0x82}, "6E00": {0x6E, 0}, "FFFF": {0xFF, 0xFF},
		"flood": append(make([]byte, 70000), 0x90, 0), "long set": unhexT(t, "3184FFFFFFFF9000"), "endless set": unhexT(t, "31823FFF9000"),
		"indefinite": unhexT(t, "318000009000"), "empty set": unhexT(t, "31009000"), "long tag": unhexT(t, "3FFFFFFFFFFF9000"),
	} {
		s := New(counted(t, transmitFunc(func(context.Context, []byte) ([]byte, error) { return answer, nil })), Options{})
		_, err := s.Open(context.Background(), byMRZ())
		chipErrors(t, what, err)
		_, err = s.ReadFile(context.Background(), gate.DG(1))
		chipErrors(t, what, err)
		_, err = s.ActiveAuthenticate(context.Background(), make([]byte, 8))
		chipErrors(t, what, err)
	}
}

func unhexT(t *testing.T, s string) []byte { return unhex(t, s) }

// TestTurnedChip behaves until the session stands, then answers alike.
func TestTurnedChip(t *testing.T) {
	cfg := newConfig(paceOn(sim.AES128, 12))
	for what, answer := range map[string][]byte{
		"success without data": {0x90, 0}, "endless 61": {0x61, 0}, "endless 61 with data": {1, 0x61, 0}, "6700": {0x67, 0}, "6C00": {0x6C, 0},
		"6C08": {0x6C, 8}, "6982": {0x69, 0x82}, "6988": {0x69, 0x88}, "no MAC": unhex(t, "9902900090009000"), "empty objects": {0x99, 0, 0x8E, 0, 0x90, 0},
	} {
		f := &field{chip: sim.New(cfg)}
		s := New(counted(t, transmitFunc(func(ctx context.Context, apdu []byte) ([]byte, error) {
			if len(f.log) >= 8 { // access took eight commands
				return answer, nil
			}
			return f.Transmit(ctx, apdu)
		})), Options{})
		if _, err := s.Open(context.Background(), byCAN()); err != nil {
			t.Fatal(err)
		}
		_, err := s.ReadFile(context.Background(), gate.FileSOD)
		chipErrors(t, what, err)
		var e *gate.ChipError
		if errors.As(err, &e); e.Kind != gate.ChipNonsense {
			t.Errorf("%s: %v is no failure", what, err)
		}
	}
}

// TestLyingLengths: files that end before their declared end, or trickle.
func TestLyingLengths(t *testing.T) {
	for what, file := range map[string]string{
		"one byte missing": "7503000000"[:8], "nothing there": "75820100", "far off": "7583010000" + "00", "length cut off": "7582",
		"tag alone": "75", "indefinite": "75800000", "five length bytes": "758500000000010000",
	} {
		cfg := newConfig(paceOn(sim.AES128, 12))
		cfg.Files[sim.FileDG(2)] = unhex(t, file)
		for name, q := range map[string]sim.Quirks{"": {}, ", short": {NoExtended: true, NoShortEF: true}} {
			cfg.Quirks = q
			s := New(counted(t, &field{chip: sim.New(cfg)}), Options{})
			if _, err := s.Open(context.Background(), byCAN()); err != nil {
				t.Fatal(err)
			}
			_, err := s.ReadFile(context.Background(), gate.DG(2))
			wantError(t, what+name, err, gate.ChipNonsense, gate.CodeChipNonsense)
		}
	}
	cfg := newConfig(paceOn(sim.AES128, 12))
	cfg.Files[sim.FileDG(2)] = content(0x75, 30000)
	cfg.Quirks.MaxRead = 9
	s := New(counted(t, &field{chip: sim.New(cfg)}), Options{})
	if _, err := s.Open(context.Background(), byCAN()); err != nil {
		t.Fatal(err)
	}
	_, err := s.ReadFile(context.Background(), gate.DG(2))
	wantError(t, "trickle", err, gate.ChipNonsense, gate.CodeChipNonsense)

	// Bytes after the declared end do not belong to the file.
	cfg = newConfig(paceOn(sim.AES128, 12))
	cfg.Files[sim.FileDG(1)] = append(content(0x61, 93), 0, 0, 0)
	s, _, _ = open(t, cfg, byCAN(), Options{})
	if b, err := s.ReadFile(context.Background(), gate.DG(1)); err != nil || len(b) != 95 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestRandomChips answer with random bytes that begin like an honest chip.
func TestRandomChips(t *testing.T) {
	cfg := withKeys(newConfig(paceOn(sim.AES128, 12)), keyOn(t, sim.AES128, 12, 0))
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		honest := r.IntN(16)
		f := &field{chip: sim.New(cfg)}
		s := New(counted(t, transmitFunc(func(ctx context.Context, apdu []byte) ([]byte, error) {
			if len(f.log) < honest {
				return f.Transmit(ctx, apdu)
			}
			b := make([]byte, r.IntN(64))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			sw := []uint16{0x9000, 0x9000, 0x6282, 0x6700, 0x6C08, 0x6110, 0x6300, 0x6982}[r.IntN(8)]
			return binary.BigEndian.AppendUint16(b, sw), nil
		})), Options{})
		got, err := transaction(s, cfg.Files[sim.FileDG(14)])
		chipErrors(t, "random", err)
		checkFiles(t, cfg, got)
	}
}

// TestNoSecretsInErrors: key material never reaches an error text.
func TestNoSecretsInErrors(t *testing.T) {
	cfg := newConfig(paceOn(sim.AES128, 12))
	for _, key := range []gate.AccessKey{{CAN: gate.Secret("482915")}, {MRZInfo: gate.Secret("L898902C<369080619406236")}} {
		_, err := New(&field{chip: sim.New(cfg)}, Options{}).Open(context.Background(), key)
		for _, secret := range [][]byte{key.CAN, key.MRZInfo} {
			if len(secret) > 0 && bytes.Contains(fmt.Appendf(nil, "%v %+v %#v", err, err, errors.Unwrap(err)), secret) {
				t.Errorf("%v", err)
			}
		}
	}
}
