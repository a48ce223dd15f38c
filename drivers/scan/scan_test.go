package scan

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
)

const (
	td1 = "IDVNM1991234579001199123457<<0\r9908176F3908174VNM<<<<<<<<<<<0\rTRAN<<THI<MAU<<<<<<<<<<<<<<<<<"
	td2 = "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\rD231458907UTO7408122F1204159<<<<<<<6"
	td3 = "PPUTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\rL898902C36UTO7408122F3404159ZE184226B<<<<<16"
	qr  = "001199123457|123456789|Trần Thị Mẫu|17081999|Nữ|Số 1, Tràng Tiền, Hoàn Kiếm, Hà Nội|17082021"
)

func TestZones(t *testing.T) {
	for name, c := range map[string]struct{ in, format, info string }{
		"td1":               {td1, "TD1", "199123457999081763908174"},
		"td2":               {td2, "TD2", "D23145890774081221204159"},
		"td3":               {td3, "TD3", "L898902C3674081223404159"},
		"joined":            {strings.ReplaceAll(td3, "\r", ""), "TD3", "L898902C3674081223404159"},
		"crlf inside":       {strings.ReplaceAll(td1, "\r", "\r\n") + "\r\n", "TD1", "199123457999081763908174"},
		"stx etx":           {"\x02" + td3 + "\r\x03", "TD3", "L898902C3674081223404159"},
		"aim with modifier": {"]o1" + td3, "TD3", "L898902C3674081223404159"},
		"aim without":       {"]L" + td3, "TD3", "L898902C3674081223404159"},
		"spaces":            {"  " + strings.ReplaceAll(td3, "\r", " \r ") + "  ", "TD3", "L898902C3674081223404159"},
		"reader padding":    {"\r" + strings.ReplaceAll(td2, "\r", "________\r") + "________\r", "TD2", "D23145890774081221204159"},
	} {
		s := Recognise([]byte(c.in))
		if s.Kind != gate.ScanMRZ || s.MRZ.Format != c.format || !s.MRZ.Valid() || string(s.Key.MRZInfo) != c.info || s.Key.CAN != nil {
			t.Errorf("%s: kind %d, %+v, key %q", name, s.Kind, s.MRZ, []byte(s.Key.MRZInfo))
		}
	}
}

// TestDigitsReported: a misread character leaves a zone with its wrong digit
// named, so that the lane can ask for another scan.
func TestDigitsReported(t *testing.T) {
	s := Recognise([]byte(strings.Replace(td3, "7408122", "7408222", 1)))
	if s.Kind != gate.ScanMRZ || s.MRZ.Valid() {
		t.Fatalf("kind %d", s.Kind)
	}
	wrong := map[string]bool{}
	for _, d := range s.MRZ.Digits {
		if !d.OK() {
			wrong[d.Field] = true
		}
	}
	if len(s.MRZ.Digits) != 5 || len(wrong) != 2 || !wrong["birth"] || !wrong["composite"] {
		t.Errorf("digits %+v", s.MRZ.Digits)
	}
}

func TestVietnam(t *testing.T) {
	full := gate.VietnamQR{Number: "001199123457", OldNumber: "123456789", Name: "Trần Thị Mẫu", Birth: "1999-08-17", Sex: "F", Issue: "2021-08-17"}
	with := func(change func(*gate.VietnamQR)) gate.VietnamQR { q := full; change(&q); return q }
	noOld := with(func(q *gate.VietnamQR) { q.OldNumber = "" })
	for name, c := range map[string]struct {
		in   string
		want gate.VietnamQR
	}{
		"full":             {qr, full},
		"aim":              {"]Q1" + qr + "\r\n", full},
		"aim, no modifier": {"]Q" + qr, full},
		"no old number":    {strings.Replace(qr, "123456789", "", 1), noOld},
		"old one left out": {strings.Replace(qr, "|123456789", "", 1), noOld},
		"six fields":       {strings.TrimSuffix(qr, "|17082021"), with(func(q *gate.VietnamQR) { q.Issue = "" })},
		"eleven fields":    {qr + "|||Cha|Mẹ", full},
		"man":              {strings.Replace(qr, "Nữ", "Nam", 1), with(func(q *gate.VietnamQR) { q.Sex = "M" })},
		"decomposed":       {strings.Replace(qr, "Nữ", "Nu\u031b\u0303", 1), full},
		"other sex":        {strings.Replace(qr, "Nữ", "?", 1), with(func(q *gate.VietnamQR) { q.Sex = "" })},
		"leap day":         {strings.Replace(qr, "17081999", "29022000", 1), with(func(q *gate.VietnamQR) { q.Birth = "2000-02-29" })},
		"no address":       {strings.Replace(qr, "Số 1, Tràng Tiền, Hoàn Kiếm, Hà Nội", "", 1), full},
	} {
		s := Recognise([]byte(c.in))
		if s.Kind != gate.ScanVietnamID || *s.Vietnam != c.want {
			t.Errorf("%s: kind %d, %+v", name, s.Kind, s.Vietnam)
			continue
		}
		if string(s.Key.CAN) != "123457" || s.Key.MRZInfo != nil {
			t.Errorf("%s: key %q", name, []byte(s.Key.CAN))
		}
		if strings.Contains(fmt.Sprintf("%+v %v", *s.Vietnam, s), "Hoàn Kiếm") {
			t.Errorf("%s: the address was kept", name)
		}
	}
}

func TestUnknown(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":           "",
		"only ends":         "\r\n",
		"boarding pass":     "M1ERIKSSON/ANNA       EABC123 SGNHANVN 0123 226Y012A0034 100",
		"url":               "https://example.invalid/?a=1|2|3|4|5|6",
		"five fields":       "001199123457||Trần Thị Mẫu|17081999|Nữ",
		"twelve fields":     qr + "|a|b|c|d|e",
		"eleven digits":     strings.Replace(qr, "001199123457", "01199123457", 1),
		"thirteen digits":   strings.Replace(qr, "001199123457", "0011991234570", 1),
		"letter in number":  strings.Replace(qr, "001199", "OO1199", 1),
		"wide digits":       strings.Replace(qr, "001199123457", "００1199123457", 1),
		"old number":        strings.Replace(qr, "123456789", "12345678", 1),
		"no name":           strings.Replace(qr, "Trần Thị Mẫu", "", 1),
		"markup in name":    strings.Replace(qr, "Trần Thị Mẫu", "<b>", 1),
		"impossible birth":  strings.Replace(qr, "17081999", "31021999", 1),
		"american birth":    strings.Replace(qr, "17081999", "08171999", 1),
		"not leap":          strings.Replace(qr, "17081999", "29022001", 1),
		"year zero":         strings.Replace(qr, "17081999", "17080000", 1),
		"impossible issue":  strings.Replace(qr, "17082021", "00002021", 1),
		"issued unborn":     strings.Replace(qr, "17082021", "17081998", 1),
		"invalid utf-8":     strings.Replace(qr, "Trần", "Tr\xff", 1),
		"cp1258":            strings.Replace(qr, "Nữ", "N\xfd\xde", 1),
		"bad utf-8 address": strings.Replace(qr, "Hà Nội", "H\xe0 N", 1),
		"visa":              "V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\rL8988901C4XXX7408122F96121096ZE184226B<<<<<<",
		"half a zone":       td3[:44],
		"unread characters": strings.Replace(td3, "ANNA", "AN_A", 1),
		"slash for line":    strings.Replace(td3, "\r", "/", 1),
		"lower case":        strings.ToLower(td3),
		"too long":          strings.Repeat("A", maxFrame+1),
		"aim alone":         "]Q1",
	} {
		if s := Recognise([]byte(in)); s.Kind != gate.ScanUnknown || s.MRZ != nil || s.Vietnam != nil || !s.Key.Empty() {
			t.Errorf("%s: kind %d", name, s.Kind)
		}
	}
}

func TestWiped(t *testing.T) {
	for _, in := range []string{td1, qr, "unknown text", strings.Repeat("A", maxFrame+1)} {
		b := []byte(in)
		Recognise(b)
		if !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("the input stays in memory: %q", b)
		}
	}
	s := Recognise([]byte(qr))
	key := s.Key.CAN
	s.Wipe()
	if !bytes.Equal(key, make([]byte, 6)) || s.Vietnam != nil {
		t.Error("a wiped scan still holds its key")
	}
}

func TestFromCAN(t *testing.T) {
	for in, ok := range map[string]bool{"123457": true, " 000000 ": true, "": false, "12345": false, "1234567": false, "12345a": false, "１２３４５６": false} {
		s, err := FromCAN(in)
		if (err == nil) != ok || ok && (s.Kind != gate.ScanCAN || string(s.Key.CAN) != strings.TrimSpace(in)) {
			t.Errorf("%q: %v", in, err)
		}
		if err != nil && in != "" && strings.Contains(err.Error(), in) {
			t.Errorf("the error repeats the number: %v", err)
		}
	}
}

func TestFromText(t *testing.T) {
	if s, err := FromMRZ(strings.ReplaceAll(td1, "\r", "/")); err != nil || s.Kind != gate.ScanMRZ {
		t.Error(err)
	}
	if s, err := FromQR(qr); err != nil || s.Kind != gate.ScanVietnamID {
		t.Error(err)
	}
	for _, in := range []string{"", "Trần|Thị", td1, strings.Repeat("|", 5000)} {
		if _, err := FromQR(in); err == nil || in != "" && strings.Contains(err.Error(), "Trần") {
			t.Errorf("%.20q: %v", in, err)
		}
	}
	if _, err := FromMRZ("nonsense"); err == nil {
		t.Error("nonsense is a zone")
	}
}

// TestFlood: garbage is unknown, whatever it looks like.
func TestFlood(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	frames := [][]byte{[]byte(td1), []byte(td3), []byte(qr)}
	for range 2000 {
		f := bytes.Clone(frames[r.IntN(len(frames))])
		for range 1 + r.IntN(20) {
			f[r.IntN(len(f))] = byte(r.Uint32())
		}
		Recognise(f) // must not panic
	}
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	if Recognise(noise).Kind != gate.ScanUnknown {
		t.Error("noise was recognised")
	}
}

// wire is a scanner's port for the test.
type wire chan []byte

func (w wire) Frames() <-chan []byte { return w }

func TestSource(t *testing.T) {
	w := make(wire)
	s := NewSource(w)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for _, f := range []string{td3, "garbage", qr} { // nobody takes the first two
		w <- []byte(f)
	}
	w <- []byte(qr)
	var _ gate.Scanner = s
	select {
	case got := <-s.Scans():
		if got.Kind != gate.ScanVietnamID {
			t.Errorf("kind %d: an older scan was kept", got.Kind)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("no scan")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzRecognise(f *testing.F) {
	for _, s := range []string{td1, td2, td3, qr, "]Q1" + qr, "\x02" + td3 + "\x03", "M1ERIKSSON/ANNA", strings.Replace(qr, "123456789", "", 1)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := Recognise(bytes.Clone(in))
		switch s.Kind {
		case gate.ScanUnknown:
			if s.MRZ != nil || s.Vietnam != nil || !s.Key.Empty() {
				t.Error("an unknown scan has content")
			}
		case gate.ScanMRZ:
			if s.MRZ == nil || len(s.Key.MRZInfo) < 24 || s.Key.CAN != nil {
				t.Errorf("%+v", s)
			}
		case gate.ScanVietnamID:
			q := s.Vietnam
			if len(q.Number) != 12 || string(s.Key.CAN) != q.Number[6:] || len(q.Birth) != 10 || q.Name == "" || s.Key.MRZInfo != nil {
				t.Errorf("%+v", q)
			}
		default:
			t.Errorf("kind %d from a scanner", s.Kind)
		}
	})
}
