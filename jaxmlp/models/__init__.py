"""Trained networks in files that are safe to open."""

from jaxmlp.models.classifier_model import model_of
from jaxmlp.models.files import whole_file
from jaxmlp.models.model_file import load, save
from jaxmlp.models.model_format import Model, encode

__all__ = ["Model", "encode", "load", "model_of", "save", "whole_file"]
