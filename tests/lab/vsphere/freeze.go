// Copies of sparse files, and what of them is not zero.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"syscall"
)

const blockSize = 65536 // the granularity in which changes are tracked

// Hashes of the blocks that are not zero.
type blockMap map[int64][32]byte

const (
	seekData = 3
	seekHole = 4
)

// Makes `to` a copy of `from` that stays as it is, and says what is in it.
func freeze(from, to string) (blockMap, error) {
	in, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	out, err := os.Create(to)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if err := out.Truncate(info.Size()); err != nil {
		return nil, err
	}
	blocks := blockMap{}
	buffer := make([]byte, blockSize)
	zero := make([]byte, blockSize)
	for at := int64(0); at < info.Size(); {
		data, err := in.Seek(at, seekData)
		if errors.Is(err, syscall.ENXIO) {
			break
		} else if err != nil {
			return nil, err
		}
		hole, err := in.Seek(data, seekHole)
		if err != nil {
			return nil, err
		}
		for at = data / blockSize * blockSize; at < hole; at += blockSize {
			n, err := in.ReadAt(buffer, at)
			if err != nil && err != io.EOF {
				return nil, err
			}
			if bytes.Equal(buffer[:n], zero[:n]) {
				continue
			}
			if _, err := out.WriteAt(buffer[:n], at); err != nil {
				return nil, err
			}
			blocks[at/blockSize] = sha256.Sum256(buffer[:n])
		}
	}
	return blocks, nil
}
