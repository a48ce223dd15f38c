package chip

// command is one command APDU (ISO/IEC 7816-4 section 5.2).
type command struct {
	cla, ins, p1, p2 byte
	data             []byte
	le               int // most bytes wanted; 0: no answer data wanted
	extended         bool
}

// Status words (ISO/IEC 7816-4 section 5.6).
const (
	swOK           = 0x9000
	swEndOfFile    = 0x6282
	swRejected     = 0x6300
	swLength       = 0x6700
	swChainLast    = 0x6883
	swNoChaining   = 0x6884
	swDenied       = 0x6982
	swConditions   = 0x6985
	swNoSMObjects  = 0x6987
	swBadSMObjects = 0x6988
	swBadData      = 0x6A80
	swNotFound     = 0x6A82
	swBadP1P2      = 0x6A86
	swNoReference  = 0x6A88
	swBadOffset    = 0x6B00
	swNoIns        = 0x6D00
	swNoClass      = 0x6E00
)

// parseCommand reads the four cases, short and extended; false is 6700.
func parseCommand(b []byte) (command, bool) {
	if len(b) < 4 {
		return command{}, false
	}
	c := command{cla: b[0], ins: b[1], p1: b[2], p2: b[3]}
	b = b[4:]
	switch {
	case len(b) == 0:
		return c, true
	case len(b) == 1:
		c.le = shortLe(b[0])
		return c, true
	case b[0] == 0 && len(b) >= 3:
		c.extended = true
		return c.parseExtended(b[1:])
	}
	n := int(b[0])
	b = b[1:]
	if n == 0 || len(b) < n || len(b) > n+1 {
		return c, false
	}
	c.data = b[:n]
	if len(b) == n+1 {
		c.le = shortLe(b[n])
	}
	return c, true
}

func (c command) parseExtended(b []byte) (command, bool) {
	n := int(b[0])<<8 | int(b[1])
	b = b[2:]
	if len(b) == 0 {
		c.le = n
		if n == 0 {
			c.le = 1 << 16
		}
		return c, true
	}
	if n == 0 || len(b) != n && len(b) != n+2 {
		return c, false
	}
	c.data = b[:n]
	if len(b) == n+2 {
		c.le = longLe(b[n:])
	}
	return c, true
}

func shortLe(b byte) int {
	if b == 0 {
		return 256
	}
	return int(b)
}

func longLe(b []byte) int {
	n := int(b[0])<<8 | int(b[1])
	if n == 0 {
		return 1 << 16
	}
	return n
}

func response(data []byte, sw uint16) []byte {
	out := make([]byte, 0, len(data)+2)
	out = append(out, data...)
	return append(out, byte(sw>>8), byte(sw))
}
