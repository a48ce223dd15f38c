package port

import (
	"errors"
	"os"
	"testing"
	"time"
)

// TestScannerLine: the terminal passes every byte as it is and vanishes when
// it is unplugged.
func TestScannerLine(t *testing.T) {
	s, err := NewScanner(t.TempDir(), "scanner")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(s.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.Scan("\x03\x04\x11\x13\x1a\n\r\x7f\xff"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := f.Read(buf)
	if err != nil || string(buf[:n]) != "\x03\x04\x11\x13\x1a\n\r\x7f\xff\r\n" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if err := s.Unplug(); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Read(buf); err == nil && n > 0 {
		t.Error("reads after the unplug")
	}
	if _, err := os.Lstat(s.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Error("the name is still there")
	}
	if err := s.Scan("x"); !errors.Is(err, errUnplugged) {
		t.Errorf("scan while unplugged: %v", err)
	}
	if err := errors.Join(s.Plug(), s.Plug(), s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}

// TestBoards: requests cut anywhere, noise between them, and the pulse timer.
func TestBoards(t *testing.T) {
	flash := sealed([]byte{1, 5, 2, 0, 0, 1}) // on for 100 ms
	off := sealed([]byte{1, 5, 0, 0, 0, 0})
	for name, c := range map[string]struct {
		p          Protocol
		open, shut []byte
	}{
		"modbus": {ProtocolModbus, flash, off},
		"text":   {ProtocolText, []byte("SR 1 on 100\r\n"), []byte("sr 1 off\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewRelay(t.TempDir(), "relay", RelayOptions{Protocol: c.p})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for _, b := range c.open {
				r.receive([]byte{b})
			}
			if !r.IsOpen() || r.Opened() != 1 {
				t.Fatal("not open")
			}
			time.Sleep(200 * time.Millisecond)
			if r.IsOpen() || !r.Events()[1].ByTimer {
				t.Fatal("the timer did not shut it")
			}
			r.receive(c.open)
			r.receive(c.shut)
			if e := r.Events(); len(e) != 4 || e[3].ByTimer || r.IsOpen() {
				t.Errorf("%+v", e)
			}
			r.receive([]byte("\x01\x05\x02\x00 noise that is no command\n"))
			time.Sleep(2 * frameGap)
			r.receive(c.open[:4]) // an agent killed in the middle
			time.Sleep(2 * frameGap)
			if r.IsOpen() {
				t.Error("half a command opened it")
			}
		})
	}
}
