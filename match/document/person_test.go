package document

import (
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/gate/mrz"
	"gateagent/match/document/pki"
)

// proven makes a case whose DG1 is proven and says what d says.
func proven(d *mrz.Document, at gate.TrustedTime) *docCase {
	return &docCase{trust: &Trust{}, at: at, sod: gate.Successful, mrz: d}
}

func TestExpiry(t *testing.T) {
	zone := now.Zone // seven hours ahead of UTC
	at := func(y, m, d, h, min int) gate.TrustedTime {
		return gate.TrustedTime{Now: time.Date(y, time.Month(m), d, h, min, 0, 0, zone).UTC(), Trusted: true, Zone: zone}
	}
	never := gate.TrustedTime{Now: now.Now, Zone: zone}
	id, passport := "ID", "P"
	for _, c := range []struct {
		name, issuer, kind, format, expiry string
		at                                 gate.TrustedTime
		want                               gate.Result
		code                               gate.Code
		text                               string
	}{
		{"long before", "VNM", id, "TD1", "390817", at(2026, 6, 15, 9, 0), gate.Successful, 0, "2039-08-17"},
		{"last minute", "VNM", id, "TD1", "260615", at(2026, 6, 15, 23, 59), gate.Successful, 0, "2026-06-15"},
		{"minute after", "VNM", id, "TD1", "260615", at(2026, 6, 16, 0, 0), gate.Failed, gate.CodeExpired, "2026-06-15"},
		{"long after", "UTO", passport, "TD3", "120415", at(2026, 6, 15, 9, 0), gate.Failed, gate.CodeExpired, "2012-04-15"},
		{"unlimited", "VNM", id, "TD1", "991231", at(2026, 6, 15, 9, 0), gate.Successful, 0, "unlimited"},
		{"unlimited, no clock", "VNM", id, "TD1", "991231", never, gate.Successful, 0, "unlimited"},
		{"passport of 2099", "VNM", passport, "TD3", "991231", at(2026, 6, 15, 9, 0), gate.Successful, 0, "2099-12-31"},
		{"other state, 2099", "UTO", "I", "TD1", "991231", never, gate.Undetermined, gate.CodeClockUntrusted, "2099-12-31"},
		{"no clock", "VNM", id, "TD1", "390817", never, gate.Undetermined, gate.CodeClockUntrusted, "2039-08-17"},
		{"unknown", "UTO", passport, "TD3", "<<<<<<", at(2026, 6, 15, 9, 0), gate.Undetermined, gate.CodeExpiryUnknown, ""},
		{"impossible", "UTO", passport, "TD3", "390230", at(2026, 6, 15, 9, 0), gate.Undetermined, gate.CodeExpiryUnknown, ""},
		{"month 13", "UTO", passport, "TD3", "391301", at(2026, 6, 15, 9, 0), gate.Undetermined, gate.CodeExpiryUnknown, ""},
		{"month, running", "UTO", passport, "TD3", "2606<<", at(2026, 6, 15, 9, 0), gate.Undetermined, gate.CodeExpiryUnknown, "2026-06"},
		{"month, past", "UTO", passport, "TD3", "2605<<", at(2026, 6, 15, 9, 0), gate.Failed, gate.CodeExpired, "2026-05"},
		{"year, ahead", "UTO", passport, "TD3", "27<<<<", at(2026, 6, 15, 9, 0), gate.Successful, 0, "2027"},
	} {
		d := &mrz.Document{Format: c.format, Type: c.kind, Issuer: c.issuer, Expiry: c.expiry}
		k := proven(d, c.at)
		if got := k.expiry(); got.Result != c.want || got.Code != c.code {
			t.Errorf("%s: %v", c.name, got)
		}
		if got, ok := k.Document(); !ok || got.Expiry != c.text {
			t.Errorf("%s: expiry %q, want %q", c.name, got.Expiry, c.text)
		}
		k.sod = gate.Undetermined
		if got := k.expiry(); got.Result != gate.Undetermined || got.Code != gate.CodeDGNeeded {
			t.Errorf("%s, not proven: %v", c.name, got)
		}
	}
}

func TestBirth(t *testing.T) {
	for _, c := range []struct{ birth, want, first string }{
		{"990817", "1999-08-17", "1999-08-17"},
		{"260615", "2026-06-15", "2026-06-15"}, // born today
		{"260616", "1926-06-16", "1926-06-16"},
		{"000229", "2000-02-29", "2000-02-29"},
		{"010229", "", "0001-01-01"},
		{"9908<<", "1999-08", "1999-08-01"},
		{"2607<<", "1926-07", "1926-07-01"},
		{"99<<<<", "1999", "1999-01-01"},
		{"990000", "1999", "1999-01-01"},
		{"99<<17", "", "0001-01-01"},
		{"<<<<<<", "", "0001-01-01"},
	} {
		got, _ := proven(&mrz.Document{Birth: c.birth}, now).Document()
		if got.Birth != c.want || got.BirthDate.Format("2006-01-02") != c.first {
			t.Errorf("%s: %q from %v, want %q from %s", c.birth, got.Birth, got.BirthDate, c.want, c.first)
		}
	}
}

func TestIssuer(t *testing.T) {
	for _, c := range []struct {
		issuer, ds string
		want       gate.Result
		code       gate.Code
	}{
		{"VNM", "VN", gate.Successful, 0},
		{"D", "DE", gate.Successful, 0},
		{"DEU", "DE", gate.Successful, 0},
		{"RKS", "KS", gate.Successful, 0},
		{"EUE", "EU", gate.Successful, 0},
		{"GBD", "GB", gate.Successful, 0},
		{"UNO", "UN", gate.Successful, 0},
		{"UNA", "UN", gate.Successful, 0},
		{"UNO", "DE", gate.Failed, gate.CodeIssuerMismatch},
		{"XOM", "XO", gate.Successful, 0},
		{"D", "D", gate.Failed, gate.CodeIssuerMismatch},
		{"DE", "DE", gate.Undetermined, gate.CodeIssuerUnknown},
		{"XXB", "DE", gate.Undetermined, gate.CodeIssuerUnknown},
		{"XXX", "DE", gate.Undetermined, gate.CodeIssuerUnknown},
		{"XBA", "DE", gate.Undetermined, gate.CodeIssuerUnknown},
		{"VNM", "DE", gate.Failed, gate.CodeIssuerMismatch},
		{"D", "VN", gate.Failed, gate.CodeIssuerMismatch},
		{"XXA", "VN", gate.Undetermined, gate.CodeIssuerUnknown},
		{"", "VN", gate.Undetermined, gate.CodeIssuerUnknown},
		{"VNM", "", gate.Undetermined, gate.CodeIssuerUnknown},
	} {
		k := proven(&mrz.Document{Issuer: c.issuer}, now)
		k.signer = &pki.Certificate{Issuer: pki.Name{Country: c.ds}}
		if got := k.issuer(); got.Result != c.want || got.Code != c.code {
			t.Errorf("%s against %s: %v", c.issuer, c.ds, got)
		}
		k.signer = nil
		if got := k.issuer(); got.Result != gate.Undetermined {
			t.Errorf("%s without signer: %v", c.issuer, got)
		}
	}
	if n := len(isoByThree()); n != 249 {
		t.Errorf("%d countries, ISO 3166-1 has 249", n)
	}
}

const (
	vietnamPassport = "P<VNMTRAN<<THI<MAU<<<<<<<<<<<<<<<<<<<<<<<<<<\nC1234567<8VNM9908176F3908174001199123457<<08"
	longVietnamMRZ  = "IDVNM1991234579001199123457<<0\n9908176F3908174VNM<<<<<<<<<<<0\nCONG<<TANG<TON<NU<MAU<THI<NGHI"
	longVietnamName = "Công Tằng Tôn Nữ Mẫu Thị Nghiêm"
	vietnamMRZ      = "IDVNM1991234579001199123457<<0\n9908176F3908174VNM<<<<<<<<<<<0\nTRAN<<THI<MAU<<<<<<<<<<<<<<<<<"
	longMRZ         = "P<UTOPAPANDROPOULOUS<<JONATHON<ALEC<TRISTANX\nL898902C36UTO7408122F3404159ZE184226B<<<<<16"
)

func TestScanAgainstChip(t *testing.T) {
	parse := func(s string) *mrz.Document { return must[*mrz.Document](t)(mrz.Parse(s)) }
	qr := func(change func(*gate.VietnamQR)) gate.Scan {
		v := &gate.VietnamQR{Number: "001199123457", Name: "Trần Thị Mẫu", Birth: "1999-08-17", Sex: "F"}
		change(v)
		return gate.Scan{Kind: gate.ScanVietnamID, Vietnam: v}
	}
	optical := func(text string, change func(*mrz.Document)) gate.Scan {
		d := parse(text)
		change(d)
		return gate.Scan{Kind: gate.ScanMRZ, MRZ: d}
	}
	same := func(*mrz.Document) {}
	for _, c := range []struct {
		name, chip string
		scan       gate.Scan
		want       gate.Result
		code       gate.Code
		detail     string
	}{
		{"same QR", vietnamMRZ, qr(func(*gate.VietnamQR) {}), gate.Successful, 0, ""},
		{"QR, decomposed marks", vietnamMRZ, qr(func(v *gate.VietnamQR) { v.Name = "TRẦN THỊ  MẪU" }), gate.Successful, 0, ""},
		{"QR, other number", vietnamMRZ, qr(func(v *gate.VietnamQR) { v.Number = "002199123457" }), gate.Failed, gate.CodeMRZMismatch, "number"},
		{"QR, check digit of the number wrong", strings.Replace(vietnamMRZ, "<<0\n", "<<1\n", 1), qr(func(*gate.VietnamQR) {}), gate.Successful, 0, ""},
		{"QR, nine digits", vietnamMRZ, qr(func(v *gate.VietnamQR) { v.Number = "199123457" }), gate.Failed, gate.CodeMRZMismatch, "number"},
		{"QR, no number", vietnamMRZ, qr(func(v *gate.VietnamQR) { v.Number = "" }), gate.Failed, gate.CodeMRZMismatch, "number"},
		{"QR against a passport", vietnamPassport, qr(func(*gate.VietnamQR) {}), gate.Failed, gate.CodeMRZMismatch, "number"},
		{"QR, cut in the chip", longVietnamMRZ, qr(func(v *gate.VietnamQR) { v.Name = longVietnamName }), gate.Successful, 0, ""},
		{"QR, cut in the chip, other letters", longVietnamMRZ, qr(func(v *gate.VietnamQR) { v.Name = "X" + longVietnamName }), gate.Failed, gate.CodeMRZMismatch, "name"},
		{"QR, as cut as the chip", longVietnamMRZ, qr(func(v *gate.VietnamQR) { v.Name = "Công Tằng Tôn Nữ Mẫu Thị Ngh" }), gate.Failed, gate.CodeMRZMismatch, "name"},
		{"QR, other name", vietnamMRZ, qr(func(v *gate.VietnamQR) { v.Name = "Trần Thị Na" }), gate.Failed, gate.CodeMRZMismatch, "name"},
		{"QR, shorter name", vietnamMRZ, qr(func(v *gate.VietnamQR) { v.Name = "Trần Thị" }), gate.Failed, gate.CodeMRZMismatch, "name"},
		{"QR, longer name", vietnamMRZ, qr(func(v *gate.VietnamQR) { v.Name = "Trần Thị Mẫu Na" }), gate.Failed, gate.CodeMRZMismatch, "name"},
		{"QR, other birth", vietnamMRZ, qr(func(v *gate.VietnamQR) { v.Birth = "1999-08-18" }), gate.Failed, gate.CodeMRZMismatch, "birth"},
		{"QR, other sex", vietnamMRZ, qr(func(v *gate.VietnamQR) { v.Sex = "M" }), gate.Failed, gate.CodeMRZMismatch, "sex"},
		{"QR, no sex, no birth", vietnamMRZ, qr(func(v *gate.VietnamQR) { v.Sex, v.Birth = "", "" }), gate.Failed, gate.CodeMRZMismatch, "birth, sex"},
		{"QR against a passport", longMRZ, qr(func(*gate.VietnamQR) {}), gate.Failed, gate.CodeMRZMismatch, "number, name, birth"},
		{"same lines", vietnamMRZ, optical(vietnamMRZ, same), gate.Successful, 0, ""},
		{"other name", vietnamMRZ, optical(vietnamMRZ, func(d *mrz.Document) { d.Given = "THI" }), gate.Failed, gate.CodeMRZMismatch, "name"},
		{"other number and expiry", vietnamMRZ, optical(vietnamMRZ, func(d *mrz.Document) { d.Number, d.Expiry = "199123458", "390818" }), gate.Failed, gate.CodeMRZMismatch, "number, expiry"},
		{"optional data", vietnamMRZ, optical(vietnamMRZ, func(d *mrz.Document) { d.Optional = "001199123458<<0" }), gate.Undetermined, gate.CodeMRZOptional, "optional data"},
		{"second optional data", vietnamMRZ, optical(vietnamMRZ, func(d *mrz.Document) { d.Optional2 = "X" }), gate.Undetermined, gate.CodeMRZOptional, "optional data"},
		{"optional data and more", vietnamMRZ, optical(vietnamMRZ, func(d *mrz.Document) { d.Optional, d.Sex = "", "M" }), gate.Failed, gate.CodeMRZMismatch, "sex"},
		{"cut in DG1", longMRZ, optical(longMRZ, func(d *mrz.Document) { d.Given = "JONATHON ALEC TRISTANXAVIER" }), gate.Successful, 0, ""},
		{"cut in DG1, other name", longMRZ, optical(longMRZ, func(d *mrz.Document) { d.Given = "JONATHON ALEC TRISTAN" }), gate.Failed, gate.CodeMRZMismatch, "name"},
		{"CAN", vietnamMRZ, gate.Scan{Kind: gate.ScanCAN}, gate.NotSupported, gate.CodeMRZNothingToMatch, ""},
		{"nothing", vietnamMRZ, gate.Scan{}, gate.NotSupported, gate.CodeMRZNotPresented, ""},
		{"MRZ without content", vietnamMRZ, gate.Scan{Kind: gate.ScanMRZ}, gate.NotSupported, gate.CodeMRZNotPresented, ""},
	} {
		k := proven(parse(c.chip), now)
		if got := k.compare(c.scan); got.Result != c.want || got.Code != c.code || got.Detail != c.detail {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestMatchNumber(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"Vietnamese card":          {vietnamMRZ, "001199123457"},
		"its check digit is wrong": {"IDVNM1991234579001199123457<<1\n9908176F3908174VNM<<<<<<<<<<<0\nTRAN<<THI<MAU<<<<<<<<<<<<<<<<<", ""},
		"the nine do not agree":    {"IDVNM1991234589001199123457<<0\n9908176F3908174VNM<<<<<<<<<<<0\nTRAN<<THI<MAU<<<<<<<<<<<<<<<<<", ""},
		"passport":                 {longMRZ, "L898902C3"},
		"its digit is wrong":       {"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C37UTO7408122F3404159ZE184226B<<<<<16", ""},
		"long number":              {"I<UTOD23145890<7349<<<<<<<<<<<\n3407127M9507122UTO<<<<<<<<<<<2\nSTEVENSON<<PETER<JOHN<<<<<<<<<", "D23145890734"},
	} {
		d := must[*mrz.Document](t)(mrz.Parse(c.text))
		if got := matchNumber(d); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
