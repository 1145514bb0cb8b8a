//go:build !planted

package main

const buildTags = ""
