package doc

import (
	"strings"

	"gateagent/internal/ber"
)

// groupTags are the file tags of DG1 to DG16 (ICAO 9303-10 table 38).
var groupTags = [17]byte{0, 0x61, 0x75, 0x63, 0x76, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x6F, 0x70}

// com lists the data groups (ICAO 9303-10 section 4.6.1).
// version is that of the LDS, 0107 or 0108, which follows the security object.
func com(groups []int, version string) []byte {
	var tags []byte
	for _, n := range groups {
		tags = append(tags, groupTags[n])
	}
	return ber.Make(0x60,
		ber.Make(0x5F01, []byte(version)),
		ber.Make(0x5F36, []byte("040000")),
		ber.Make(0x5C, tags))
}

// dg1 holds the MRZ (ICAO 9303-10 section 4.7.1).
func dg1(lines []string) []byte {
	return ber.Make(0x61, ber.Make(0x5F1F, []byte(strings.Join(lines, ""))))
}

// cbeff is the biometric information group template of ICAO 9303-10 section
// 4.7.2.1 around one record of ISO/IEC JTC1/SC37 (owner 0101): kind is the
// biometric type, format the record's format type.
func cbeff(tag uint32, kind, format byte, record []byte) []byte {
	header := ber.Make(0xA1,
		ber.Make(0x80, []byte{1, 1}),
		ber.Make(0x81, []byte{kind}),
		ber.Make(0x87, []byte{1, 1}),
		ber.Make(0x88, []byte{0, format}))
	return ber.Make(tag, ber.Make(0x7F61,
		ber.Make(ber.Integer, []byte{1}),
		ber.Make(0x7F60, header, ber.Make(0x5F2E, record))))
}

// dg11 holds additional personal details (ICAO 9303-10 section 4.7.11).
func dg11(p Person, personalNumber string) []byte {
	tags := []byte{0x5F, 0x0E, 0x5F, 0x10, 0x5F, 0x2B, 0x5F, 0x11}
	return ber.Make(0x6B,
		ber.Make(0x5C, tags),
		ber.Make(0x5F0E, []byte(strings.ToUpper(p.Surname)+"<<"+strings.ToUpper(p.Given))),
		ber.Make(0x5F10, []byte(personalNumber)),
		ber.Make(0x5F2B, []byte(p.Birth.Format("20060102"))),
		ber.Make(0x5F11, []byte(p.Place)))
}

// dg12 holds additional document details (ICAO 9303-10 section 4.7.12).
func dg12(f *Profile) []byte {
	return ber.Make(0x6C,
		ber.Make(0x5C, []byte{0x5F, 0x19, 0x5F, 0x26}),
		ber.Make(0x5F19, []byte("Simulated issuing authority")),
		ber.Make(0x5F26, []byte(f.Issued.Format("20060102"))))
}

// dg13 holds Vietnam's national data: numbered values, of which some are
// absent for some people. Numbers 6 to 10 (ethnicity, religion, origin,
// residence, features), 13 (parents), 14 (spouse) and 16 are there so that a
// reader can be seen to skip them.
func dg13(p Person, f *Profile) []byte {
	text := func(n int, v string) []byte { return seq(smallInt(n), ber.Make(ber.UTF8String, []byte(v))) }
	list := [][]byte{
		text(1, f.fullNumber()), text(2, p.Name()), text(3, p.Birth.Format(vnDate)), text(4, sexWord(p.Sex)), text(5, "Việt Nam"),
		text(6, "Dân tộc mẫu"), text(7, "Tôn giáo mẫu"), text(8, p.Place), text(9, f.Address), text(10, "Không có đặc điểm"),
		text(11, f.Issued.Format(vnDate)), text(12, expiryWord(f)),
		seq(smallInt(13), seq(
			seq(ber.Make(ber.UTF8String, []byte("Cha Giả Định"))),
			seq(ber.Make(ber.UTF8String, []byte("Mẹ Giả Định"))))),
		text(14, "Vợ hoặc chồng mẫu"),
	}
	if f.OldNumber != "" {
		list = append(list, text(15, f.OldNumber))
	}
	list = append(list, text(16, "0000000000"))
	// The order is that of the numbers, as on cards seen by public readers,
	// and not DER's.
	values := ber.Make(ber.Set, list...)
	return ber.Make(0x6D, seq(smallInt(1), oid("1.2.704.1000.1.1"), values))
}

const vnDate = "02/01/2006"

func sexWord(s string) string {
	if s == "F" {
		return "Nữ"
	}
	return "Nam"
}

func expiryWord(f *Profile) string {
	if f.Unlimited {
		return "Không thời hạn"
	}
	return f.Expires.Format(vnDate)
}
