package allowlist

import (
	"crypto/sha256"
	"io"
)

// First bytes of what is hashed: a data page can never stand for a node.
const (
	leafDomain = 0x00
	nodeDomain = 0x01
)

func leafHash(p *page) [hashSize]byte {
	var b [1 + pageSize]byte
	b[0] = leafDomain
	copy(b[1:], p[:])
	return sha256.Sum256(b[:])
}

func nodeHash(level int, p *page) [hashSize]byte {
	var b [2 + pageSize]byte
	b[0], b[1] = nodeDomain, byte(level)
	copy(b[2:], p[:])
	return sha256.Sum256(b[:])
}

// writeTree writes the node pages over the hashes of the data pages behind
// those, unless f is nil, and gives the root.
func writeTree(f io.WriterAt, hashes [][hashSize]byte) ([hashSize]byte, error) {
	at := int64(len(hashes)) * pageSize
	for level := 0; ; level++ {
		above := make([][hashSize]byte, 0, ceilDiv(uint64(len(hashes)), fan))
		for first := 0; first < len(hashes); first += fan {
			var p page
			for i := first; i < min(first+fan, len(hashes)); i++ {
				copy(p[(i-first)*hashSize:], hashes[i][:])
			}
			above = append(above, nodeHash(level, &p))
			if f != nil {
				if _, err := f.WriteAt(p[:], at); err != nil {
					return [hashSize]byte{}, err
				}
			}
			at += pageSize
		}
		if len(above) == 1 {
			return above[0], nil
		}
		hashes = above
	}
}
