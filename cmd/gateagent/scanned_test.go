package main

import (
	"strings"
	"testing"

	"gateagent/gate"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// scans are readings whose scan is not quite that of the document. They run
// on a Dutch passport with BAC, which opens to number, birth and expiry.
func scans() []struct {
	name   string
	change func(lines []string)
	want   string
} {
	const base = activeRSA
	return []struct {
		name   string
		change func(lines []string)
		want   string
	}{
		{"as printed", func([]string) {}, base},
		{"composite digit wrong", func(l []string) { l[1] = l[1][:43] + turn(l[1][43:]) }, base + "mrz.check_digits=F1701"},
		{"another name", func(l []string) { l[0] = strings.Replace(l[0], "VOORBEELD", "VOORBEELT", 1) }, base + "mrz.dg1=F1702"},
		{"another nationality", func(l []string) { l[1] = l[1][:10] + "BEL" + l[1][13:] }, base + "mrz.dg1=F1702"},
		{"another sex", func(l []string) { l[1] = l[1][:20] + "<" + l[1][21:] }, base + "mrz.dg1=F1702"},
		{"another issuer", func(l []string) { l[0] = "P<BEL" + l[0][5:] }, base + "mrz.dg1=F1702"},
		{"other optional data", func(l []string) {
			l[1] = l[1][:28] + "X<<<<<<<<<<<<<" + digit("X") + digit(l[1][:10]+l[1][13:20]+l[1][21:28]+"X<<<<<<<<<<<<<"+digit("X"))
		}, base + "mrz.dg1=U1703"},
	}
}

// turn gives another digit.
func turn(d string) string { return string('0' + (d[0]-'0'+1)%10) }

// digit is the check digit of ICAO 9303-3 section 4.9.
func digit(s string) string {
	sum := 0
	for i, c := range s {
		v := int(c - '0')
		switch {
		case c == '<':
			v = 0
		case c >= 'A':
			v = int(c-'A') + 10
		}
		sum += v * [...]int{7, 3, 1}[i%3]
	}
	return string(rune('0' + sum%10))
}

// What was scanned is compared with what the chip proves.
func TestScanned(t *testing.T) {
	d := foreign(3, doc.OnlyBAC(), doc.ActiveAuthWith(rsaKey()))(t)
	for _, c := range scans() {
		t.Run(c.name, func(t *testing.T) {
			lines := d.MRZLines()
			c.change(lines)
			v := visit{make: func(*testing.T) *doc.Document { return d }, opt: readOptions{mrz: strings.Join(lines, "\n")}}
			_, _, rep := v.judge(t)
			expect(t, c.want).compare(t, rep, false)
		})
	}
	// Two citizens whose numbers end alike: the chip opens to both.
	mine := citizen(41)(t)
	other := citizen(42, doc.Numbered(citizenNumber("048", mine.CAN())))(t)
	v := visit{make: func(*testing.T) *doc.Document { return mine }, opt: readOptions{qr: other.QR()}}
	_, _, rep := v.judge(t)
	expect(t, vietnam+"mrz.dg1=F1702").compare(t, rep, false)
}

// citizenNumber makes a number that ends in the given digits.
func citizenNumber(province, last string) string { return province + "190" + last }

// The detail names how the chip was opened.
func TestAccessDetail(t *testing.T) {
	for _, c := range []struct {
		visit  visit
		id     gate.CheckID
		detail string
	}{
		{visit{make: citizen(1), opt: readOptions{can: "own"}}, "access.pace", "PACE-ECDH-GM-AES-CBC-CMAC-128 brainpoolP256r1 CAN"},
		{visit{make: foreign(1, doc.PACEWith(chip.AES256, "P-384"))}, "access.pace", "PACE-ECDH-GM-AES-CBC-CMAC-256 P-384 MRZ"},
		{visit{make: foreign(1, doc.OnlyBAC())}, "access.bac", "BAC-3DES-CBC-CBC MRZ"},
	} {
		_, _, rep := c.visit.judge(t)
		for _, k := range rep.Checks {
			if k.ID == c.id && k.Detail != c.detail {
				t.Errorf("%s: %q, not %q", k.ID, k.Detail, c.detail)
			}
		}
	}
}
