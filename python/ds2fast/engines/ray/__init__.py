"""The long stages on a Ray cluster; the package ray is imported when it is joined."""

from ds2fast.engines.ray.engine import RayEngine

__all__ = ["RayEngine"]
