package chip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"gateagent/gate"
	sim "gateagent/sim/chip"
)

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
