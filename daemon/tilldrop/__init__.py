"""Tilldrop: takes point-of-sale exports from many retailers and turns them into rows."""
