package doc

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// PKDPart is one of the files that the ICAO public key directory offers.
type PKDPart int

// Parts: document signers with revocation lists, master lists, and what does
// not conform to the standard.
const (
	PKDSigners       PKDPart = 1
	PKDMasterLists   PKDPart = 2
	PKDNonconformant PKDPart = 3
)

// PKDEntry is one object of a part.
type PKDEntry struct {
	Country string
	CRL     bool // of part 1: a revocation list, no certificate
	Raw     []byte
}

// LDIF writes a part as the directory exports it (RFC 2849: attributes in
// base64, lines folded at 76 characters).
func LDIF(part PKDPart, entries ...PKDEntry) []byte {
	var b strings.Builder
	b.WriteString("version: 1\n\n")
	class, attribute := "inetOrgPerson", "userCertificate;binary"
	data := "dc=data"
	switch part {
	case PKDMasterLists:
		class, attribute = "pkdMasterList", "pkdMasterListContent"
	case PKDNonconformant:
		data = "dc=nc-data"
	}
	for i, e := range entries {
		c, a, o := class, attribute, "dsc"
		if part == PKDMasterLists {
			o = "ml"
		}
		if e.CRL {
			c, a, o = "cRLDistributionPoint", "certificateRevocationList;binary", "crl"
		}
		line(&b, "dn: ", fmt.Sprintf("cn=simulated\\+%d,o=%s,c=%s,%s,dc=download,dc=pkd,dc=icao,dc=int", i+1, o, e.Country, data))
		line(&b, "objectClass: ", "top")
		line(&b, "objectClass: ", c)
		line(&b, "cn: ", fmt.Sprintf("simulated %d", i+1))
		line(&b, a+":: ", base64.StdEncoding.EncodeToString(e.Raw))
		b.WriteString("\n")
	}
	return []byte(b.String())
}

// line writes one attribute; continuation lines begin with a blank.
func line(b *strings.Builder, name, value string) {
	const width = 76
	s := name + value
	for len(s) > width {
		b.WriteString(s[:width] + "\n")
		s = " " + s[width:]
	}
	b.WriteString(s + "\n")
}
